//! The scenarios: what the player answers in each, and what has to come of that.

use std::sync::Arc;

use super::answers::{self, Answers, Life, Tokens};
use super::player::{Answer, Part};
use super::scene::{Scene, reason};
use super::stage::{CLIENT, CODE, Play, Stage};
use super::transcript::Step;
use crate::broker::{BrokerError, Live};
use crate::cli::Failure;
use crate::model::{ConnectionStatus, Grant};
use crate::oauth::{AuthMethod, Protocol, RefreshMode};
use crate::route::TokenPlace;

/// Their names and titles, in the order in which they are played.
pub(super) const ALL: [(&str, &str); 13] = [
    ("connect", "standard answers"),
    ("expires-text", "the token's life as text"),
    ("expires-missing", "no word of the token's life"),
    ("form", "a form-encoded answer"),
    ("error-200", "an error with status 200"),
    ("refresh", "a refresh, as the file says that it goes"),
    ("refresh-keeps", "refreshes whose answers leave the refresh token out"),
    ("slow", "a refresh that is not answered"),
    ("garbage", "refreshes answered with HTML, and with half a JSON"),
    ("refused", "a refresh that is refused for good"),
    ("disconnect", "disconnecting"),
    ("call", "a call of the API"),
    ("items", "loading items"),
];

/// Plays one.
pub(super) async fn play(scenario: (&'static str, &'static str), play: &Play<'_>) -> Result<Scene, Failure> {
    let mut scene = Scene::new(scenario);
    match scenario.0 {
        "connect" => connect(&mut scene, play).await?,
        "expires-text" => life(&mut scene, play, Life::Text).await?,
        "expires-missing" => life(&mut scene, play, Life::Unsaid).await?,
        "form" => form(&mut scene, play).await?,
        "error-200" => error_200(&mut scene, play).await?,
        "refresh" => refresh(&mut scene, play).await?,
        "refresh-keeps" => refresh_keeps(&mut scene, play).await?,
        "slow" => slow(&mut scene, play).await?,
        "garbage" => garbage(&mut scene, play).await?,
        "refused" => refused(&mut scene, play).await?,
        "disconnect" => disconnect(&mut scene, play).await?,
        "call" => call(&mut scene, play).await?,
        _ => items(&mut scene, play),
    }
    Ok(scene)
}

async fn connect(scene: &mut Scene, play: &Play<'_>) -> Result<(), Failure> {
    let mut stage = Stage::set(play).await?;
    let tokens = stage.tokens(Life::Number);
    let good = stage.good(&tokens);
    let Some(live) = walk(scene, &stage, Answer::json(&good)).await else { return Ok(()) };
    let grant = live.grant();
    scene.grant(grant, None, stage.now());
    scene.status(stage.view().await.ok().flatten().as_ref());
    check_tokens(scene, play, &tokens, grant);
    check_captures(scene, play, &good, grant);
    Ok(())
}

/// From the link to the connection; `None` when something went wrong on the way, which is noted.
async fn walk(scene: &mut Scene, stage: &Stage<'_>, answer: Answer) -> Option<Arc<Live>> {
    let protocol = &stage.play.provider().protocol;
    let sent = match stage.begin().await {
        Ok(sent) => sent,
        Err(error) => {
            scene.hear(&stage.heard());
            scene.failed(&error);
            return None;
        }
    };
    scene.hear(&stage.heard());
    let step = scene.masks.sent(&sent.url);
    if !step.carries(CLIENT.id) {
        scene.fault("oauth.authorization_params", "the client's identifier is nowhere in the authorization URL");
    }
    scene.steps.push(step);
    let redirect = stage.redirect(&sent);
    let step = scene.masks.redirect(&stage.callback(), &redirect);
    scene.steps.push(step);
    stage.player.cue(Part::Token, answer);
    let outcome = stage.come_back(&redirect).await;
    let requests = scene.hear(&stage.heard());
    let exchange = requests.iter().find(|step| step.part == Some(Part::Token));
    if let Some(exchange) = exchange {
        if !exchange.carries(CODE) {
            scene.fault("oauth.token_params", "the code is nowhere in the request that exchanges it");
        }
        check_client(scene, protocol, exchange);
    }
    if let Err(error) = outcome {
        scene.failed(&error);
        return None;
    }
    match stage.access().await {
        Ok(live) => {
            stage.recast(&live.grant().captured);
            Some(live)
        }
        Err(error) => {
            scene.failed(&error);
            None
        }
    }
}

/// Whether a token request says who we are, and proves it where the file says that it does.
fn check_client(scene: &mut Scene, protocol: &Protocol, request: &Step) {
    let proves = matches!(
        protocol.token_endpoint_auth_method,
        Some(AuthMethod::ClientSecretPost | AuthMethod::ClientSecretBasic)
    );
    if proves && !request.carries(CLIENT.secret) {
        let what = "the client secret is nowhere in the token request, though the client authenticates with it";
        scene.fault("oauth.token_params", what);
    }
}

fn check_tokens(scene: &mut Scene, play: &Play<'_>, tokens: &Tokens, grant: &Grant) {
    let protocol = &play.provider().protocol;
    let exchanged = protocol.token_exchange.len().checked_sub(1).map(answers::exchanged);
    if exchanged.or(tokens.access.clone()).as_deref() != Some(grant.access_token.expose()) {
        let what = "another text than the access token was taken for it";
        scene.fault("oauth.token_response.access_token", what);
    }
    let is_unplayable = play.answers.unplayable.iter().any(|key| key == "oauth.token_response.refresh_token");
    if protocol.refresh != RefreshMode::None && !is_unplayable && !protocol.can_refresh(grant) {
        let what = "nothing was found to refresh the token with; say where the refresh token is, or refresh = \"none\"";
        scene.fault("oauth.token_response.refresh_token", what);
    }
    let life = grant.expires_at.map(|end| end.since(grant.obtained_at).as_secs());
    if let Some(seconds) = life.filter(|seconds| *seconds < 60) {
        let what = format!("the token would live for {seconds} seconds; does the vendor count in another unit?");
        scene.fault("oauth.token_response.expires_in_unit", what);
    }
}

fn check_captures(scene: &mut Scene, play: &Play<'_>, answer: &serde_json::Value, grant: &Grant) {
    for (name, capture) in &play.provider().protocol.token_capture {
        let key = format!("oauth.capture.token.{name}");
        if grant.captured.contains_key(name) || play.answers.unplayable.contains(&key) {
            continue;
        }
        let what = match capture.path.text(answer) {
            None => format!("{} finds no text in the token answer", capture.path.as_str()),
            Some(value) => {
                let shown = scene.masks.shown(&value);
                let is_token = grant.tokens().any(|token| token.expose() == value);
                if is_token {
                    "finds a token, and captured values are shown to people: it is dropped".to_owned()
                } else {
                    format!("its pattern does not match `{shown}`, so that the value is dropped")
                }
            }
        };
        scene.fault(key, what);
    }
    for (name, _) in play.provider().protocol.captures_of_requests() {
        if play.answers.captured.contains_key(name) && !grant.captured.contains_key(name) {
            scene.fault("oauth.discovery", format!("`{name}` was not found where it is said to be"));
        }
    }
    for name in play.provider().protocol.token_response.extra.keys() {
        let key = format!("oauth.token_response.extra.{name}");
        if !grant.extra.contains_key(name) && !play.answers.unplayable.contains(&key) {
            scene.fault(key, "finds no text in the token answer");
        }
    }
    for (name, value) in &play.captured {
        if grant.captured.get(name) != Some(value) {
            scene.fault(format!("oauth.capture.callback.{name}"), "was not kept from the redirect");
        }
    }
}

async fn life(scene: &mut Scene, play: &Play<'_>, life: Life) -> Result<(), Failure> {
    if play.answers.is_example() {
        scene.leave_out("the vendor's own answer is played");
        return Ok(());
    }
    let mut stage = Stage::set(play).await?;
    let tokens = stage.tokens(life);
    let good = stage.good(&tokens);
    let Some(live) = walk(scene, &stage, Answer::json(&good)).await else { return Ok(()) };
    only_token_requests(scene);
    let grant = live.grant();
    scene.grant(grant, None, stage.now());
    scene.status(stage.view().await.ok().flatten().as_ref());
    let protocol = &play.provider().protocol;
    let expected = match life {
        // An exchange says it again.
        Life::Unsaid if !protocol.token_exchange.is_empty() => Some(answers::LIFE),
        Life::Unsaid if protocol.introspection_endpoint.is_some() => {
            Some(protocol.access_token_lifetime.unwrap_or(answers::LIFE))
        }
        Life::Unsaid => protocol.access_token_lifetime,
        Life::Number | Life::Text => Some(answers::LIFE),
    };
    if grant.expires_at.map(|end| end.since(grant.obtained_at)) != expected {
        scene.fault("oauth.token_response.expires_in", "the token's life was not understood");
    }
    Ok(())
}

async fn form(scene: &mut Scene, play: &Play<'_>) -> Result<(), Failure> {
    let mut stage = Stage::set(play).await?;
    let tokens = stage.tokens(Life::Number);
    let Some(body) = Answers::form(&stage.good(&tokens)) else {
        scene.leave_out("an answer like this provider's cannot be form-encoded");
        return Ok(());
    };
    let answer = Answer::Now { status: 200, content_type: "application/x-www-form-urlencoded", body };
    let Some(live) = walk(scene, &stage, answer).await else { return Ok(()) };
    only_token_requests(scene);
    scene.grant(live.grant(), None, stage.now());
    scene.status(stage.view().await.ok().flatten().as_ref());
    check_tokens(scene, play, &tokens, live.grant());
    Ok(())
}

async fn error_200(scene: &mut Scene, play: &Play<'_>) -> Result<(), Failure> {
    let stage = Stage::set(play).await?;
    let code = play.provider().protocol.terminal_errors.first().map_or("invalid_grant", String::as_str);
    let sent = match stage.begin().await {
        Ok(sent) => sent,
        Err(error) => {
            scene.failed(&error);
            return Ok(());
        }
    };
    stage.heard();
    scene.masks.sent(&sent.url);
    stage.player.cue(Part::Token, Answer::json(&play.answers.error(code)));
    let outcome = stage.come_back(&stage.redirect(&sent)).await;
    scene.hear(&stage.heard());
    match outcome {
        Err(error) if reason(&error).contains(code) => scene.understood("error", &reason(&error)),
        Err(error) => scene.fault("oauth.token_response.error", format!("not seen as an error: {}", reason(&error))),
        Ok(()) => scene.fault("oauth.token_response.error", "an error was taken for tokens"),
    }
    scene.status(stage.view().await.ok().flatten().as_ref());
    Ok(())
}

/// A connection that is there already: only what comes after it is shown. `None` when there is none, or nothing to
/// refresh it with.
async fn refreshable(scene: &mut Scene, stage: &mut Stage<'_>) -> Option<Arc<Live>> {
    let protocol = &stage.play.provider().protocol;
    if protocol.refresh == RefreshMode::None {
        scene.leave_out("oauth.refresh is \"none\": the connection ends with its access token");
        return None;
    }
    let live = connected(scene, stage).await?;
    if !protocol.can_refresh(live.grant()) {
        scene.leave_out("there is nothing to refresh the token with");
        return None;
    }
    Some(live)
}

async fn connected(scene: &mut Scene, stage: &mut Stage<'_>) -> Option<Arc<Live>> {
    let tokens = stage.tokens(Life::Number);
    let good = stage.good(&tokens);
    let live = walk(scene, stage, Answer::json(&good)).await;
    scene.steps.clear();
    if live.is_none() {
        scene.faults.clear();
        scene.leave_out("nothing could be connected; `connect` says why");
    }
    live
}

/// The answer of a refresh, as this provider gives it.
fn refresh_tokens(stage: &mut Stage<'_>) -> Tokens {
    let tokens = stage.tokens(Life::Number);
    match stage.play.provider().protocol.refresh {
        RefreshMode::Extend => Tokens { access: None, refresh: None, ..tokens },
        RefreshMode::Keep | RefreshMode::Rotate | RefreshMode::None => tokens,
    }
}

async fn refresh(scene: &mut Scene, play: &Play<'_>) -> Result<(), Failure> {
    let mut stage = Stage::set(play).await?;
    let Some(live) = refreshable(scene, &mut stage).await else { return Ok(()) };
    let tokens = refresh_tokens(&mut stage);
    let answer = stage.good(&tokens);
    let Some(renewed) = renew(scene, &stage, &live, Answer::json(&answer)).await else { return Ok(()) };
    let (before, grant) = (live.grant(), renewed.grant());
    scene.grant(grant, Some(before), stage.now());
    scene.status(stage.view().await.ok().flatten().as_ref());
    let protocol = &play.provider().protocol;
    let exchanged = protocol.token_exchange.iter().rposition(|exchange| exchange.after_refresh).map(answers::exchanged);
    let wanted = exchanged.or(tokens.access);
    if grant.access_token.expose() != wanted.as_deref().unwrap_or(before.access_token.expose()) {
        scene.fault("oauth.token_response.access_token", "another text than the new access token was taken for it");
    }
    let has_place = !play.answers.unplayable.iter().any(|key| key == "oauth.token_response.refresh_token");
    let given = tokens.refresh.as_deref().filter(|_| has_place && before.refresh_token.is_some());
    let held = grant.refresh_token.as_ref().map(crate::model::Secret::expose);
    if given.is_some() && given != held {
        scene.fault("oauth.token_response.refresh_token", "the new refresh token was not found");
    }
    Ok(())
}

/// One refresh: its request is shown and looked at; `None` when it failed, which is noted.
async fn renew(scene: &mut Scene, stage: &Stage<'_>, live: &Live, answer: Answer) -> Option<Arc<Live>> {
    stage.player.cue(Part::Token, answer);
    let outcome = stage.refresh(live).await;
    let requests = scene.hear(&stage.heard());
    let grant = live.grant();
    if let Some(request) = requests.iter().find(|step| step.part == Some(Part::Token)) {
        if !grant.tokens().any(|token| request.carries(token.expose())) {
            let what = "a refresh presents neither the refresh token nor the access token";
            scene.fault("oauth.refresh_params", what);
        }
    }
    match outcome {
        Ok(Some(renewed)) => Some(renewed),
        Ok(None) => {
            scene.fault("oauth.refresh", "there was nothing to refresh the token with");
            None
        }
        Err(error) => {
            scene.failed(&error);
            None
        }
    }
}

async fn refresh_keeps(scene: &mut Scene, play: &Play<'_>) -> Result<(), Failure> {
    let mut stage = Stage::set(play).await?;
    let Some(live) = refreshable(scene, &mut stage).await else { return Ok(()) };
    if play.provider().protocol.refresh == RefreshMode::Extend || live.grant().refresh_token.is_none() {
        scene.leave_out("no refresh token is used at this provider");
        return Ok(());
    }
    let mut last = Arc::clone(&live);
    for _ in 0..2 {
        let tokens = Tokens { refresh: None, ..stage.tokens(Life::Number) };
        let answer = stage.good(&tokens);
        let Some(renewed) = renew(scene, &stage, &last, Answer::json(&answer)).await else { return Ok(()) };
        last = renewed;
    }
    scene.grant(last.grant(), Some(live.grant()), stage.now());
    scene.status(stage.view().await.ok().flatten().as_ref());
    if last.grant().refresh_token != live.grant().refresh_token {
        scene.fault("oauth.token_response.refresh_token", "something else was taken for a refresh token");
    }
    Ok(())
}

async fn slow(scene: &mut Scene, play: &Play<'_>) -> Result<(), Failure> {
    let mut stage = Stage::set(play).await?;
    if refreshable(scene, &mut stage).await.is_none() {
        return Ok(());
    }
    stage.grow_impatient().await?;
    let Some(live) = stage.access().await.ok() else { return Ok(()) };
    keeps_the_grant(scene, &stage, &live, Answer::Never).await;
    Ok(())
}

async fn garbage(scene: &mut Scene, play: &Play<'_>) -> Result<(), Failure> {
    let html =
        Answer::Now { status: 502, content_type: "text/html", body: "<html><title>Bad gateway</title></html>".into() };
    let half = |stage: &Stage<'_>, tokens: &Tokens| {
        let whole = stage.good(tokens).to_string();
        let body: String = whole.chars().take(whole.chars().count() / 2).collect();
        Answer::Now { status: 200, content_type: "application/json", body }
    };
    for is_html in [true, false] {
        // A failed refresh is followed by a pause, and so each has a stage of its own.
        let mut stage = Stage::set(play).await?;
        let shown = std::mem::take(&mut scene.steps);
        let live = refreshable(scene, &mut stage).await;
        scene.steps = shown;
        let Some(live) = live else { return Ok(()) };
        let tokens = stage.tokens(Life::Number);
        let answer = if is_html { html.clone() } else { half(&stage, &tokens) };
        keeps_the_grant(scene, &stage, &live, answer).await;
    }
    Ok(())
}

/// A refresh that fails for the moment: nothing of the connection may be lost.
async fn keeps_the_grant(scene: &mut Scene, stage: &Stage<'_>, live: &Live, answer: Answer) {
    stage.player.cue(Part::Token, answer);
    let outcome = stage.refresh(live).await;
    scene.hear(&stage.heard());
    match outcome {
        Err(error @ BrokerError::TokenEndpoint { .. }) => scene.understood("for now", &reason(&error)),
        Err(error) => scene.failed(&error),
        Ok(_) => scene.fault("oauth.token_response", "it was taken for a good answer"),
    }
    let view = stage.view().await.ok().flatten();
    scene.status(view.as_ref());
    if view.is_none_or(|view| view.connection.status != ConnectionStatus::Active) {
        scene.fault("oauth.terminal_errors", "the connection was given up over a failure that passes");
    }
}

async fn refused(scene: &mut Scene, play: &Play<'_>) -> Result<(), Failure> {
    let Some(code) = play.provider().protocol.terminal_errors.first() else {
        scene.leave_out("oauth.terminal_errors is empty: no refusal ends a connection");
        return Ok(());
    };
    let mut stage = Stage::set(play).await?;
    let Some(live) = refreshable(scene, &mut stage).await else { return Ok(()) };
    stage.player.cue(Part::Token, Answer::json_with(400, &play.answers.error(code)));
    let outcome = stage.refresh(&live).await;
    scene.hear(&stage.heard());
    let view = stage.view().await.ok().flatten();
    scene.status(view.as_ref());
    if view.is_none_or(|view| view.connection.status != ConnectionStatus::ReconnectRequired) {
        let why = outcome.err().map_or_else(|| "it went on".to_owned(), |error| reason(&error));
        let what = format!("the error `{code}` does not end the connection: {why}");
        scene.fault("oauth.token_response.error", what);
    }
    Ok(())
}

async fn disconnect(scene: &mut Scene, play: &Play<'_>) -> Result<(), Failure> {
    let mut stage = Stage::set(play).await?;
    let Some(live) = connected(scene, &mut stage).await else { return Ok(()) };
    let view = match stage.disconnect().await {
        Ok(view) => view,
        Err(error) => {
            scene.failed(&error);
            return Ok(());
        }
    };
    let requests = scene.hear(&stage.heard());
    let protocol = &play.provider().protocol;
    let told = requests.iter().filter(|step| step.part == Some(Part::Revocation)).count();
    if protocol.revocation_endpoint.is_none() && protocol.issuer.is_none() {
        scene.understood("revocation", "the file names no endpoint: the tokens end by themselves");
    } else if told == 0 {
        scene.fault("oauth.revocation_endpoint", "the provider was not told");
    } else {
        scene.understood("revocation", &format!("{told} {}", if told == 1 { "request" } else { "requests" }));
        let grant = live.grant();
        let tokens = grant.tokens();
        let names: Vec<&str> =
            tokens.map(crate::model::Secret::expose).chain(grant.captured.values().map(String::as_str)).collect();
        if !requests.iter().any(|step| names.iter().any(|name| step.carries(name))) {
            let what = "the revocation says neither which token nor whose grant it ends";
            scene.fault("oauth.revocation.params", what);
        }
    }
    scene.status(Some(&view));
    Ok(())
}

async fn call(scene: &mut Scene, play: &Play<'_>) -> Result<(), Failure> {
    let mut stage = Stage::set(play).await?;
    let Some(live) = connected(scene, &mut stage).await else { return Ok(()) };
    let status = stage.call("/some/path?some=query").await?;
    let requests = scene.hear(&stage.heard());
    let Some(request) = requests.iter().find(|step| step.part == Some(Part::Api)) else {
        scene.fault("api.base_url", format!("the call did not reach the API: {status}"));
        return Ok(());
    };
    let place = match &play.provider().api.auth {
        TokenPlace::Header { name, .. } => format!("in the header `{name}`"),
        TokenPlace::Query { name, .. } => format!("in the query, as `{name}`"),
    };
    if request.carries(live.grant().access_token.expose()) {
        scene.understood("token", &place);
    } else {
        scene.fault("api.auth.format", format!("the access token does not stand {place}"));
    }
    scene.understood("status of the answer", &status.to_string());
    Ok(())
}

fn items(scene: &mut Scene, play: &Play<'_>) {
    let provider = play.provider();
    scene.leave_out(if provider.items.is_empty() {
        "the file has no [items]".to_owned()
    } else {
        format!(
            "what is in an account only its API knows; with one connected, `keyferry items {}` shows it",
            provider.id
        )
    });
}

/// Of a walk that was shown already, the token requests alone.
fn only_token_requests(scene: &mut Scene) {
    scene.steps.retain(|step| step.part == Some(Part::Token));
}
