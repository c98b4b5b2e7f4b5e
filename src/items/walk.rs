//! The walk through all pages of all streams: depth first, a parent's item before its children, one page of each depth in
//! memory at a time.

mod held;
mod level;
mod place;
mod step;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use serde_json::{Map, Value};
use url::Url;

use self::held::Held;
use self::level::Level;
pub use self::step::{Answer, Options, Outage, Step};
use super::page::Stuck;
use super::position::LevelPosition;
use super::problem::{Kind, Trouble, note};
use super::retry::{Asked, Came, Verdict};
use super::{PageRequest, PageState, Plan, Problem};
use crate::mapping::{Scope, Taken};
use crate::model::{Item, Timestamp};

/// A walk under way.
#[derive(Debug)]
pub struct Walk {
    plan: Arc<Plan>,
    connection: Value,
    base: Option<Url>,
    types: Vec<String>,
    /// Which streams are asked at all.
    asked: Vec<bool>,
    /// Which of them may bring an item that is wanted.
    brings: Vec<bool>,
    /// Streams that are not asked any more, and why.
    given_up: Vec<Option<Trouble>>,
    /// From a stream without a parent inwards. Empty only at the end.
    levels: Vec<Level>,
    /// Levels of the position that are still to be reached.
    resume: VecDeque<LevelPosition>,
    /// How many items that come were given out by an earlier walk.
    given: u64,
    held: Held,
    phase: Phase,
    attempt: u32,
    renewed: bool,
    /// The path and query of the last request, to which a relative next page refers.
    asked_at: String,
    problems: Vec<Problem>,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The innermost level has records, or is done.
    Advance,
    /// The innermost level needs its page.
    Send,
    Wait(Duration),
    Renew,
    Ended,
}

impl Walk {
    /// Begins, or goes on at a position. One that [`Plan::accepts`] does not is a problem, and nothing is loaded.
    pub fn new(plan: Arc<Plan>, options: Options) -> Self {
        let Options { connection, base_url, types, position } = options;
        let mut walk = Self {
            asked: plan.asked_for(&types),
            brings: (0..plan.len()).map(|index| plan.stream(index).may_bring(&types)).collect(),
            given_up: vec![None; plan.len()],
            plan,
            connection,
            base: Url::parse(&base_url).ok(),
            types,
            levels: Vec::new(),
            resume: VecDeque::new(),
            given: 0,
            held: Held::default(),
            phase: Phase::Ended,
            attempt: 0,
            renewed: false,
            asked_at: String::new(),
            problems: Vec::new(),
        };
        match position {
            None => walk.begin_root_from(0),
            Some(position) if walk.plan.accepts(&position) => {
                walk.given = position.given;
                walk.resume = position.levels.into();
                walk.descend();
            }
            Some(position) => {
                let stream = position.levels.first().map_or("", |level| level.stream.as_str());
                note(&mut walk.problems, stream, Kind::ForeignPosition.into(), 1);
            }
        }
        walk
    }

    /// What to do next.
    pub fn step(&mut self) -> Step {
        loop {
            while let Some(item) = self.held.pop() {
                if self.given == 0 {
                    return Step::Emit(item);
                }
                self.given -= 1;
            }
            match self.phase {
                Phase::Advance => {
                    if let Some(item) = self.advance() {
                        self.given = 0;
                        return Step::Emit(item);
                    }
                }
                Phase::Send => match self.request() {
                    Some(request) => return Step::Send(request),
                    None => self.fail(Kind::MissingValue.into()),
                },
                Phase::Wait(wait) => {
                    self.phase = Phase::Send;
                    return Step::Wait(wait);
                }
                Phase::Renew => return Step::Renew,
                Phase::Ended => return Step::Done,
            }
        }
    }

    /// Reports the answer to the last `Send`. `jitter` is drawn by the caller, from 0 up to 1. Answers how long the
    /// provider wants to be left alone, when it said that there were too many requests.
    pub fn answer(&mut self, answer: Answer<'_>, now: Timestamp, jitter: f64) -> Option<Duration> {
        let plan = Arc::clone(&self.plan);
        let (Phase::Send, Some(level)) = (self.phase, self.levels.last()) else { return None };
        let Answer { status, headers, body } = answer;
        let body = match status {
            204 => Some(Value::Null),
            _ if plan.policy.reads_body(status) => plan.read(level.stream, body),
            _ => None,
        };
        let is_blank = status == 204 || is_blank(answer.body);
        let asked = self.asked(&plan, level);
        let came = Came { status, headers, body: body.as_ref() };
        let verdict = plan.policy.judge(asked, came, now, jitter);
        let pause = match verdict {
            Verdict::Wait(wait) => Some(wait),
            Verdict::Fail(trouble) => trouble.retry_after,
            Verdict::Use | Verdict::Renew | Verdict::Skip => None,
        };
        let pause = pause.filter(|_| plan.policy.says_too_many(came));
        match (verdict, body) {
            (Verdict::Use, Some(page)) => {
                if !self.take(&plan, page, headers, is_blank) {
                    self.fail(Trouble { status: Some(status), ..Kind::Unreadable.into() });
                }
            }
            (Verdict::Use, None) => self.fail(Trouble { status: Some(status), ..Kind::Unreadable.into() }),
            (verdict, _) => self.follow(verdict, Some(status)),
        }
        pause
    }

    /// Reports that no answer came.
    pub fn no_answer(&mut self, outage: Outage, jitter: f64) {
        let plan = Arc::clone(&self.plan);
        let (Phase::Send, Some(level)) = (self.phase, self.levels.last()) else { return };
        let asked = self.asked(&plan, level);
        let retry_after = match outage {
            Outage::CircuitOpen(wait) | Outage::OverBudget(wait) => Some(wait),
            Outage::Unreachable | Outage::Timeout | Outage::TooLarge => None,
        };
        let verdict = match outage {
            Outage::Unreachable => plan.policy.judge_silence(asked, Kind::Unreachable, jitter),
            Outage::Timeout => plan.policy.judge_silence(asked, Kind::TimedOut, jitter),
            Outage::TooLarge => Verdict::Fail(Kind::TooLarge.into()),
            Outage::CircuitOpen(_) => Verdict::Fail(Trouble { retry_after, ..Kind::Unreachable.into() }),
            Outage::OverBudget(_) => Verdict::Fail(Trouble { retry_after, ..Kind::RateLimited.into() }),
        };
        if let (Verdict::Fail(trouble), Some(_)) = (verdict, retry_after) {
            let stream = level.stream;
            self.given_up[stream] = Some(trouble);
        }
        self.follow(verdict, None);
    }

    /// Reports whether another token is there.
    pub fn renewed(&mut self, renewed: bool) {
        if !matches!(self.phase, Phase::Renew) {
            return;
        }
        self.renewed = true;
        self.phase = Phase::Send;
        if !renewed {
            self.fail(Trouble { status: Some(401), ..Kind::Unauthorized.into() });
        }
    }

    /// The longest that any wait may be; what asks for more fails.
    pub fn longest_wait(&self) -> Duration {
        self.plan.policy.retry.cap
    }

    /// What went wrong so far.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Takes the innermost level one step further. An item comes out where none is held back.
    fn advance(&mut self) -> Option<Item> {
        let depth = self.levels.len().checked_sub(1)?;
        let level = &self.levels[depth];
        if level.open.is_some() {
            match self.next_child(level) {
                Some((position, child)) => {
                    self.levels[depth].child = position + 1;
                    match self.given_up[child] {
                        Some(trouble) => {
                            self.held.miss(depth + 1);
                            self.note(child, trouble, 1);
                        }
                        None => self.descend_to(Level::first(child)),
                    }
                }
                None => self.close(depth),
            }
            return None;
        }
        match self.levels[depth].records.next() {
            Some(record) => self.read(depth, record),
            None => {
                self.turn(depth);
                None
            }
        }
    }

    /// Makes an item of a record, and opens the record when there is something below it.
    fn read(&mut self, depth: usize, record: Value) -> Option<Item> {
        let index = self.levels[depth].stream;
        let has_children = self.plan.children_of(index).iter().any(|child| self.asked[*child]);
        let collected = self.held.collects(depth);
        let mut item = None;
        if self.brings[index] || collected {
            let plan = Arc::clone(&self.plan);
            let stream = plan.stream(index);
            let mut dropped = 0;
            let scope = Scope { record: &record, page: &self.levels[depth].page, ..self.scope_above(depth) };
            item = if stream.lets.is_empty() {
                stream.fields.item(&scope, &mut dropped)
            } else {
                let lets: Map<String, Value> = stream
                    .lets
                    .iter()
                    .map(|(name, source)| (name.clone(), source.evaluate(&scope).into_owned()))
                    .collect();
                stream.fields.item(&Scope { lets: &Value::Object(lets), ..scope }, &mut dropped)
            };
            if item.is_none() {
                self.note(index, Kind::RecordsDropped.into(), 1);
            } else if dropped > 0 {
                self.note(index, Kind::FieldsDropped.into(), dropped);
            }
        }
        let level = &mut self.levels[depth];
        if has_children {
            level.open = Some(record);
            level.child = 0;
        } else {
            level.done += 1;
        }
        let item = item?;
        if collected {
            self.held.found(&item.id);
        }
        let wanted = self.types.is_empty() || item.kind.as_ref().is_some_and(|kind| self.types.contains(kind));
        let collects = wanted && has_children && self.plan.stream(index).collect_children;
        let mut given_out = Some(item).filter(|_| wanted);
        if collects || self.held.is_holding() {
            if let Some(item) = given_out.take() {
                self.held.hold(item, depth, collects);
            }
            self.let_go_when_full(index);
        }
        given_out
    }

    fn let_go_when_full(&mut self, index: usize) {
        if self.held.is_full() {
            self.held.let_go();
            self.note(index, Kind::TooManyChildren.into(), 1);
        }
    }

    /// Everything below the open record was read.
    fn close(&mut self, depth: usize) {
        let level = &mut self.levels[depth];
        level.open = None;
        level.done += 1;
        self.held.close(depth);
    }

    /// On to the following page, or out of the level.
    fn turn(&mut self, depth: usize) {
        let level = &mut self.levels[depth];
        let Some(next) = level.next.take() else { return self.leave() };
        let most = self.plan.stream(level.stream).paging.as_ref().map_or(1, |paging| paging.max);
        if level.pages + 1 >= most {
            let stream = level.stream;
            self.lack(stream, Kind::TooManyPages.into());
            return self.leave();
        }
        level.turn_to(next);
        self.ask();
    }

    /// Takes a page: what leads on, then its records. False, and nothing is taken, when it is the first one and has nothing
    /// where its records should be, though it does say something.
    fn take(&mut self, plan: &Plan, mut page: Value, headers: &HeaderMap, is_blank: bool) -> bool {
        let depth = self.levels.len() - 1;
        let index = self.levels[depth].stream;
        let stream = plan.stream(index);
        let incomplete = stream.incomplete.as_ref().and_then(|path| path.first(&page));
        let is_incomplete = incomplete.is_some_and(|sign| *sign != Value::Bool(false));
        let signs =
            stream.paging.as_ref().map(|paging| paging.signs(&page, headers, self.base.as_ref(), &self.asked_at));
        let Taken { nodes, listed, is_there } = stream.records.take(&mut page);
        if !is_there && !is_blank && self.levels[depth].state == PageState::First {
            return false;
        }
        if is_incomplete {
            self.lack(index, Kind::Incomplete.into());
        }
        let level = &mut self.levels[depth];
        let next =
            stream.paging.as_ref().zip(signs).and_then(|(paging, signs)| paging.turn(&level.state, signs, listed));
        let next = match next {
            Some(Ok(next)) if level.circle.closes(&level.state, &next) => Some(Err(Stuck::Repeated)),
            next => next,
        };
        level.records = nodes.into_iter();
        level.page = page;
        let done = usize::try_from(level.done).unwrap_or(usize::MAX);
        level.records.by_ref().take(done).for_each(drop);
        self.phase = Phase::Advance;
        match next {
            None => {}
            Some(Ok(next)) => self.levels[depth].next = Some(next),
            Some(Err(Stuck::Repeated)) => self.lack(index, Kind::CursorRepeated.into()),
            Some(Err(Stuck::Foreign)) => self.lack(index, Kind::ForeignPage.into()),
            Some(Err(Stuck::Unreadable)) => self.lack(index, Kind::Unreadable.into()),
        }
        self.descend();
        true
    }

    fn descend_to(&mut self, level: Level) {
        self.levels.push(level);
        self.ask();
    }

    fn ask(&mut self) {
        self.attempt = 0;
        self.renewed = false;
        self.phase = Phase::Send;
    }

    /// Out of the innermost level, and into the following stream where it was the outermost.
    fn leave(&mut self) {
        self.resume.clear();
        self.phase = Phase::Advance;
        if let Some(level) = self.levels.pop()
            && self.levels.is_empty()
        {
            self.begin_root_from(level.stream + 1);
        }
    }

    fn request(&mut self) -> Option<PageRequest> {
        let level = self.levels.last()?;
        let scope = self.scope_above(self.levels.len() - 1);
        let request = self.plan.request(self.plan.stream(level.stream), &level.state, &scope)?;
        self.asked_at.clone_from(&request.path_and_query);
        Some(request)
    }

    /// What a level sees besides its own records.
    fn scope_above(&self, depth: usize) -> Scope<'_> {
        let open = |above: usize| depth.checked_sub(above).and_then(|depth| self.levels[depth].open.as_ref());
        let mut scope = Scope { connection: &self.connection, ..Scope::default() };
        scope.parent = open(1).unwrap_or(scope.parent);
        scope.grandparent = open(2).unwrap_or(scope.grandparent);
        scope
    }

    fn asked<'p>(&self, plan: &'p Plan, level: &Level) -> Asked<'p> {
        let stream = plan.stream(level.stream);
        Asked {
            repeatable: stream.is_repeatable(),
            attempt: self.attempt,
            renewed: self.renewed,
            skip_on: &stream.skip_on,
        }
    }

    fn follow(&mut self, verdict: Verdict, status: Option<u16>) {
        match verdict {
            Verdict::Use => {}
            Verdict::Wait(wait) => {
                self.attempt += 1;
                self.phase = Phase::Wait(wait);
            }
            Verdict::Renew => self.phase = Phase::Renew,
            Verdict::Skip => {
                if let Some(index) = self.levels.last().map(|level| level.stream) {
                    self.note(index, Trouble { status, ..Kind::Skipped.into() }, 1);
                }
                self.leave();
            }
            Verdict::Fail(trouble) => self.fail(trouble),
        }
    }

    /// Gives the innermost level up. Without a token nothing else can be read either.
    fn fail(&mut self, trouble: Trouble) {
        let Some(index) = self.levels.last().map(|level| level.stream) else { return };
        self.lack(index, trouble);
        if trouble.kind == Kind::Unauthorized {
            self.phase = Phase::Ended;
            return;
        }
        // A budget of the connection's own is spent for the siblings too.
        if trouble.retry_after.is_some() && self.plan.budget.is_none() {
            self.given_up[index] = Some(trouble);
        }
        self.leave();
    }

    /// Notes that records of the innermost level are missing.
    fn lack(&mut self, index: usize, trouble: Trouble) {
        if let Some(depth) = self.levels.len().checked_sub(1) {
            self.held.miss(depth);
        }
        self.note(index, trouble, 1);
    }

    fn note(&mut self, index: usize, trouble: Trouble, times: u64) {
        note(&mut self.problems, &self.plan.stream(index).name, trouble, times);
    }
}

/// Whether a JSON text says nothing at all.
fn is_blank(json: &[u8]) -> bool {
    let filled = json.iter().copied().filter(|byte| !byte.is_ascii_whitespace());
    matches!(filled.take(5).collect::<Vec<u8>>().as_slice(), b"" | b"{}" | b"[]" | b"null")
}
