//! The scenarios of refreshing: what a refresh sends, what is kept when it fails, and when the connection ends.

use std::sync::Arc;

use super::super::answers::{self, Life, Tokens};
use super::super::player::{Answer, Part};
use super::super::scene::{Scene, reason};
use super::super::stage::{Play, Stage};
use super::connecting::walk;
use crate::broker::{BrokerError, Live};
use crate::cli::Failure;
use crate::model::ConnectionStatus;
use crate::oauth::RefreshMode;

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

pub(super) async fn connected(scene: &mut Scene, stage: &mut Stage<'_>) -> Option<Arc<Live>> {
    let tokens = stage.tokens(Life::Number);
    let good = stage.good(&tokens);
    let live = walk(scene, stage, Answer::json(&good)).await;
    scene.steps.clear();
    // What is wrong with a connection that came about all the same, `connect` tells.
    if live.is_some() {
        scene.faults.clear();
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

pub(super) async fn refresh(scene: &mut Scene, play: &Play<'_>) -> Result<(), Failure> {
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
    if let Some(request) = requests.iter().find(|step| step.part == Some(Part::Token))
        && !stage.play.provider().protocol.grant_type.is_clients_own()
        && !grant.tokens().any(|token| request.carries(token.expose()))
    {
        let what = "a refresh presents neither the refresh token nor the access token";
        scene.fault("oauth.refresh_params", what);
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

pub(super) async fn refresh_keeps(scene: &mut Scene, play: &Play<'_>) -> Result<(), Failure> {
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

pub(super) async fn slow(scene: &mut Scene, play: &Play<'_>) -> Result<(), Failure> {
    let mut stage = Stage::set(play).await?;
    if refreshable(scene, &mut stage).await.is_none() {
        return Ok(());
    }
    stage.grow_impatient().await?;
    let Some(live) = stage.access().await.ok() else { return Ok(()) };
    keeps_the_grant(scene, &stage, &live, Answer::Never).await;
    Ok(())
}

pub(super) async fn garbage(scene: &mut Scene, play: &Play<'_>) -> Result<(), Failure> {
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

pub(super) async fn refused(scene: &mut Scene, play: &Play<'_>) -> Result<(), Failure> {
    if play.provider().protocol.grant_type.is_clients_own() {
        scene.leave_out("there is nobody to ask again");
        return Ok(());
    }
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
