//! What each failure of the broker, of a provider and of an application becomes. Matches without a wildcard, so that a new
//! one does not compile before somebody decides its status.

use std::time::Duration;

use http::StatusCode;

use super::{Problem, whole_seconds};
use crate::broker::BrokerError;
use crate::items;
use crate::oauth::DenialReason;
use crate::store::StoreError;
use crate::upstream::UpstreamError;

pub(super) fn broker_problem(error: &BrokerError) -> Problem {
    let plain = Problem::new;
    match error {
        BrokerError::NotConfigured(sentence) => {
            plain(StatusCode::INTERNAL_SERVER_ERROR, "integration_not_configured", sentence)
        }
        BrokerError::UnknownIntegration => unknown_integration(),
        BrokerError::Invalid(sentence) => plain(StatusCode::BAD_REQUEST, "bad_request", sentence),
        BrokerError::NotConnected => plain(
            StatusCode::FAILED_DEPENDENCY,
            "not_connected",
            "No account is connected yet. Connect one first; connect_url is the page for it.",
        ),
        BrokerError::ReconnectRequired => plain(
            StatusCode::FAILED_DEPENDENCY,
            "reconnect_required",
            "The provider no longer accepts this connection. Open connect_url to connect again.",
        ),
        BrokerError::Forbidden => plain(
            StatusCode::FORBIDDEN,
            "forbidden",
            "This authorization was begun by somebody else; nothing was connected.",
        ),
        BrokerError::NotLoggedIn => plain(
            StatusCode::FORBIDDEN,
            "forbidden",
            "Nobody is logged in to the application in this browser, so nothing was connected. Log in there and start again.",
        ),
        BrokerError::StateMismatch(_) | BrokerError::Callback(_) => plain(
            StatusCode::BAD_REQUEST,
            "state_mismatch",
            "This link or code is not valid here: it is unknown, was used, is over, or belongs to another browser. Start again from the application.",
        ),
        BrokerError::Denied(reason) => plain(
            StatusCode::BAD_REQUEST,
            "authorization_denied",
            match reason {
                DenialReason::AccessDenied => {
                    "Access was not granted, so nothing was connected. You can start again at any time."
                }
                DenialReason::InvalidScope => {
                    "The provider does not offer the permissions that were asked for. Whoever runs this application has to change the scopes."
                }
                DenialReason::ProviderTrouble => "The provider had trouble of its own. Please start again in a while.",
                DenialReason::Refused => {
                    "The provider refused the request. Whoever runs this application has to check its registration there."
                }
            },
        ),
        BrokerError::TokenEndpoint { retry_after, .. } => Problem {
            retry_after: *retry_after,
            ..plain(
                StatusCode::BAD_GATEWAY,
                "token_endpoint_failed",
                "The provider did not give a token. Nothing that stood before is lost; try again.",
            )
        },
        BrokerError::Undiscovered(_) => plain(
            StatusCode::BAD_GATEWAY,
            "token_endpoint_failed",
            "The provider agreed, but did not say what Keyferry needs to know of this account, so nothing was connected. Please start again in a while.",
        ),
        BrokerError::NothingFits => plain(
            StatusCode::BAD_REQUEST,
            "bad_request",
            "The account at the provider has none that fits what was asked for, so nothing was connected. Check what you entered and what you chose there, or sign in with another account.",
        ),
        BrokerError::RateLimited { retry_after } => Problem {
            retry_after: Some(*retry_after),
            ..plain(
                StatusCode::TOO_MANY_REQUESTS,
                "rate_limited",
                &format!(
                    "The provider takes no more calls of this connection for now. Try again in {} s.",
                    whole_seconds(*retry_after)
                ),
            )
        },
        BrokerError::CircuitOpen { retry_after } => Problem {
            retry_after: Some(*retry_after),
            ..plain(
                StatusCode::BAD_GATEWAY,
                "upstream_unreachable",
                &format!(
                    "The provider has been failing, so it was not asked. It is asked again in {} s.",
                    whole_seconds(*retry_after)
                ),
            )
        },
        BrokerError::Blocked(_) => blocked(),
        BrokerError::ShuttingDown => shutting_down(),
        BrokerError::Store(error) => match error.as_ref() {
            StoreError::Unopenable { .. } => plain(
                StatusCode::SERVICE_UNAVAILABLE,
                "store_unavailable",
                "A stored record cannot be opened with the configured store keys. It is kept as it is.",
            ),
            StoreError::Unavailable { .. } | StoreError::UnknownCursor | StoreError::Settings(_) => Problem {
                retry_after: Some(Duration::from_secs(2)),
                ..plain(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "store_unavailable",
                    "The store cannot be reached at the moment; nothing is lost. Try again.",
                )
            },
        },
        BrokerError::Internal(_) => plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Something went wrong inside Keyferry; the log has the cause.",
        ),
    }
}

pub(super) fn upstream_problem(error: &UpstreamError) -> Problem {
    let plain = Problem::new;
    match error {
        UpstreamError::Timeout { .. } => {
            plain(StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", "The provider did not answer in time.")
        }
        UpstreamError::Blocked { .. } => blocked(),
        UpstreamError::Caller { .. } => {
            plain(StatusCode::BAD_REQUEST, "bad_request", "The request's body ended before it was whole.")
        }
        UpstreamError::Unreachable { .. }
        | UpstreamError::Tls { .. }
        | UpstreamError::Broken { .. }
        | UpstreamError::TooLarge { .. } => {
            plain(StatusCode::BAD_GATEWAY, "upstream_unreachable", "The provider could not be reached.")
        }
    }
}

/// Nothing was read. A provider that asks for patience is not one that fails. Whoever writes its file has to know what it
/// was asked for and what it said.
pub(super) fn items_problem(problem: &items::Problem) -> Problem {
    let (status, code) = match problem.code {
        "rate_limited" => (StatusCode::TOO_MANY_REQUESTS, "rate_limited"),
        "upstream_timeout" => (StatusCode::GATEWAY_TIMEOUT, "upstream_timeout"),
        "upstream_unreachable" => (StatusCode::BAD_GATEWAY, "upstream_unreachable"),
        _ => (StatusCode::BAD_GATEWAY, "upstream_failed"),
    };
    let stream = &problem.stream;
    let place = match problem.status {
        Some(status) => format!("stream `{stream}`, HTTP {status}"),
        None => format!("stream `{stream}`"),
    };
    let detail = format!("{} ({place}).", problem.detail.trim_end_matches('.'));
    Problem { retry_after: problem.retry_after, ..Problem::new(status, code, &detail) }
}

pub(super) fn application_problem(error: &UpstreamError) -> Problem {
    let plain = Problem::new;
    match error {
        UpstreamError::Timeout { .. } => plain(
            StatusCode::GATEWAY_TIMEOUT,
            "upstream_timeout",
            "The application behind Keyferry did not answer in time.",
        ),
        UpstreamError::Caller { .. } => upstream_problem(error),
        UpstreamError::Blocked { .. }
        | UpstreamError::Unreachable { .. }
        | UpstreamError::Tls { .. }
        | UpstreamError::Broken { .. }
        | UpstreamError::TooLarge { .. } => plain(
            StatusCode::BAD_GATEWAY,
            "upstream_unreachable",
            "The application behind Keyferry could not be reached. It may be starting; otherwise app.upstream may name another place.",
        ),
    }
}

pub(super) fn unknown_integration() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "unknown_integration", "No integration of this name is configured.")
}

pub(super) fn shutting_down() -> Problem {
    Problem {
        retry_after: Some(Duration::from_secs(1)),
        ..Problem::new(StatusCode::SERVICE_UNAVAILABLE, "shutting_down", "Keyferry is shutting down; try again.")
    }
}

fn blocked() -> Problem {
    Problem::new(
        StatusCode::BAD_GATEWAY,
        "blocked_address",
        "The provider's host has an address that Keyferry does not dial. The operator can allow it by net.allow.",
    )
}
