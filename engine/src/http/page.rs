//! The web page: static files at `/` and below `/page/`, part of the program. They have no data;
//! what they show they ask of `/v1`, as anybody does, and they change nothing.
//!
//! ```text
//! index.html ── style.css
//!            └─ main.js ── overview, tag, log, ... (one view each) ── api.js ── /v1
//! ```

use std::sync::Arc;

use axum::{
    Router,
    http::{
        HeaderName, HeaderValue,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse, Response},
    routing::get,
};

use super::{Backend, server::App};

/// Scripts, styles and answers of this server only, and nothing that is written into the markup:
/// what a repository or a reason is called can never run.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file of the page.
struct File {
    path: &'static str,
    media_type: &'static str,
    text: &'static str,
}

/// A file of the folder `page`, at its name below `/page/`.
macro_rules! file {
    ($name:literal, $media_type:literal) => {
        File {
            path: concat!("/page/", $name),
            media_type: concat!($media_type, "; charset=utf-8"),
            text: include_str!(concat!("page/", $name)),
        }
    };
    ($name:literal) => {
        file!($name, "text/javascript")
    };
}

const FILES: [File; 25] = [
    File {
        path: "/",
        ..file!("index.html", "text/html")
    },
    file!("style.css", "text/css"),
    file!("api.js"),
    file!("command.js"),
    file!("dom.js"),
    file!("follow.js"),
    file!("form.js"),
    file!("impact.js"),
    file!("log.js"),
    file!("login.js"),
    file!("main.js"),
    file!("overrides.js"),
    file!("overview.js"),
    file!("problem.js"),
    file!("promotions.js"),
    file!("record.js"),
    file!("remedies.js"),
    file!("route.js"),
    file!("rules.js"),
    file!("standing.js"),
    file!("tag.js"),
    file!("token.js"),
    file!("tree.js"),
    file!("why.js"),
    file!("words.js"),
];

/// All files of the page, and nothing else.
pub(super) fn files<B: Backend>() -> Router<Arc<App<B>>> {
    FILES.iter().fold(Router::new(), |router, file| {
        router.route(file.path, get(async || serve(file)))
    })
}

fn serve(file: &'static File) -> Response {
    let headers: [(HeaderName, HeaderValue); 5] = [
        (CONTENT_TYPE, HeaderValue::from_static(file.media_type)),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        // The files fit the program that serves them: another version's must not be mixed in.
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, file.text).into_response()
}
