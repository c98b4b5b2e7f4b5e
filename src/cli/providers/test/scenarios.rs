//! The scenarios: what the player answers in each, and what has to come of that.

mod connecting;
mod refreshing;

use self::connecting::{connect, error_200, form, life};
use self::refreshing::{connected, garbage, refresh, refresh_keeps, refused, slow};
use super::answers::Life;
use super::player::Part;
use super::scene::Scene;
use super::stage::{Play, Stage};
use crate::cli::Failure;
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

async fn disconnect(scene: &mut Scene, play: &Play<'_>) -> Result<(), Failure> {
    if play.provider().protocol.grant_type.is_clients_own() {
        scene.leave_out("nobody connects, and so nobody disconnects");
        return Ok(());
    }
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
