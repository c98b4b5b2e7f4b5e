//! The scenarios of connecting: from the link to the connection, and what was understood of the token answer.

use std::sync::Arc;

use super::super::answers::{self, Answers, Life, Tokens};
use super::super::player::{Answer, Part};
use super::super::scene::{Scene, reason};
use super::super::stage::{CLIENT, CODE, Play, Stage};
use super::super::transcript::Step;
use super::only_token_requests;
use crate::broker::{BrokerError, Live};
use crate::cli::Failure;
use crate::model::Grant;
use crate::oauth::{AuthMethod, Protocol, RefreshMode};

pub(super) async fn connect(scene: &mut Scene, play: &Play<'_>) -> Result<(), Failure> {
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
pub(super) async fn walk(scene: &mut Scene, stage: &Stage<'_>, answer: Answer) -> Option<Arc<Live>> {
    let protocol = &stage.play.provider().protocol;
    if protocol.grant_type.is_clients_own() {
        return ask_for_token(scene, stage, answer).await;
    }
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

/// Where nobody connects: the first call gets the token.
async fn ask_for_token(scene: &mut Scene, stage: &Stage<'_>, answer: Answer) -> Option<Arc<Live>> {
    stage.player.cue(Part::Token, answer);
    let outcome = stage.access().await;
    let requests = scene.hear(&stage.heard());
    if let Some(request) = requests.iter().find(|step| step.part == Some(Part::Token)) {
        check_client(scene, &stage.play.provider().protocol, request);
    }
    match outcome {
        Ok(live) => Some(live),
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

pub(super) async fn life(scene: &mut Scene, play: &Play<'_>, life: Life) -> Result<(), Failure> {
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

pub(super) async fn form(scene: &mut Scene, play: &Play<'_>) -> Result<(), Failure> {
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

pub(super) async fn error_200(scene: &mut Scene, play: &Play<'_>) -> Result<(), Failure> {
    let stage = Stage::set(play).await?;
    let code = play.provider().protocol.terminal_errors.first().map_or("invalid_grant", String::as_str);
    if play.provider().protocol.grant_type.is_clients_own() {
        stage.player.cue(Part::Token, Answer::json(&play.answers.error(code)));
        let outcome = stage.access().await.map(drop);
        scene.hear(&stage.heard());
        check_error(scene, code, outcome);
        return Ok(());
    }
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
    check_error(scene, code, outcome);
    scene.status(stage.view().await.ok().flatten().as_ref());
    Ok(())
}

/// Whether an error was seen as that error.
fn check_error(scene: &mut Scene, code: &str, outcome: Result<(), BrokerError>) {
    match outcome {
        Err(error) if reason(&error).contains(code) => scene.understood("error", &reason(&error)),
        Err(error) => scene.fault("oauth.token_response.error", format!("not seen as an error: {}", reason(&error))),
        Ok(()) => scene.fault("oauth.token_response.error", "an error was taken for tokens"),
    }
}
