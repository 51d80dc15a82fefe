//! What the web view serves.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, LOCATION, REFERRER_POLICY,
    SET_COOKIE, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::sse::{Event, KeepAlive};
use axum::response::{IntoResponse, Response, Sse};
use axum::routing::get;
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{Stream, StreamExt};

pub(super) use super::Pages;
use super::access::{Access, Door, Token};
use crate::view::metrics;
use crate::view::sample::{Sampler, Watched};

/// How often the page gets new figures.
const BEAT: Duration = Duration::from_secs(1);
/// When a browser that has lost the run looks for it again.
const RETRY: Duration = Duration::from_secs(1);
/// Nothing but what this site serves itself, and no other site may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// One address's pages.
#[derive(Debug)]
pub(super) struct Site {
    run: Arc<Watched>,
    pub(super) pages: Pages,
    door: Door,
}

/// What requests are answered from.
#[derive(Clone, Debug)]
struct Shared {
    run: Arc<Watched>,
    door: Arc<Door>,
    /// The last document, as text; closed with the run.
    live: watch::Receiver<String>,
}

impl Site {
    pub(super) fn new(
        run: Arc<Watched>,
        pages: Pages,
        token: Option<Token>,
        address: SocketAddr,
    ) -> Self {
        Self { run, pages, door: Door::new(token, address) }
    }

    /// The router, and what makes its documents until the run has `ended`.
    pub(super) fn open(self, ended: watch::Receiver<bool>) -> (Router, impl Future<Output = ()>) {
        let mut sampler = Sampler::default();
        let (sender, live) = watch::channel(document(&mut sampler, &self.run));
        let shared = Shared { run: Arc::clone(&self.run), door: Arc::new(self.door), live };
        let mut router = Router::new()
            .route("/metrics", get(metrics_page))
            .route("/healthz", get(async || "ok\n"));
        if self.pages == Pages::All {
            router = router
                .route(
                    "/",
                    get(async || {
                        asset("text/html; charset=utf-8", include_str!("../page/index.html"))
                    }),
                )
                .route(
                    "/style.css",
                    get(async || {
                        asset("text/css; charset=utf-8", include_str!("../page/style.css"))
                    }),
                )
                .route("/app.js", get(async || script(include_str!("../page/app.js"))))
                .route("/drawing.js", get(async || script(include_str!("../page/drawing.js"))))
                .route("/chart.js", get(async || script(include_str!("../page/chart.js"))))
                .route("/zoom.js", get(async || script(include_str!("../page/zoom.js"))))
                .route("/figures.js", get(async || script(include_str!("../page/figures.js"))))
                .route(
                    "/icon.svg",
                    get(async || asset("image/svg+xml", include_str!("../page/icon.svg"))),
                )
                .route("/events", get(events))
                .route("/live.json", get(live_json))
                .route("/plan.json", get(plan_json));
        }
        let router = router
            .fallback(async || (StatusCode::NOT_FOUND, "nothing is served here\n"))
            .layer(from_fn_with_state(shared.clone(), guard))
            .with_state(shared);
        (router, beat(self.run, sampler, sender, ended))
    }
}

/// Makes a document a second, and the last one when the run has ended.
async fn beat(
    run: Arc<Watched>,
    mut sampler: Sampler,
    sender: watch::Sender<String>,
    mut ended: watch::Receiver<bool>,
) {
    loop {
        let over = tokio::select! {
            () = tokio::time::sleep(BEAT) => false,
            _ = ended.changed() => true,
        };
        sender.send_replace(document(&mut sampler, &run));
        if over {
            return;
        }
    }
}

fn document(sampler: &mut Sampler, run: &Watched) -> String {
    serde_json::to_string(&sampler.look(run)).unwrap_or_default()
}

/// Answers what may be answered, and gives every answer its headers.
async fn guard(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let open = request.uri().path() == "/healthz";
    let mut response = match shared.door.look(request.headers(), request.uri(), open) {
        Access::Granted => next.run(request).await,
        Access::ByAddress => {
            let cookie = shared.door.set_cookie().unwrap_or_default();
            // The token leaves the address bar.
            let path = request.uri().path().to_owned();
            (StatusCode::SEE_OTHER, [(SET_COOKIE, cookie), (LOCATION, path)]).into_response()
        }
        Access::Denied => {
            let ask = [(WWW_AUTHENTICATE, "Bearer realm=\"pfs\"")];
            (StatusCode::UNAUTHORIZED, ask, "a token is needed: open /?token=TOKEN once\n")
                .into_response()
        }
        Access::WrongHost => {
            let why = "on loopback this is served as localhost or by its address only\n";
            (StatusCode::MISDIRECTED_REQUEST, why).into_response()
        }
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn asset(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(CONTENT_TYPE, HeaderValue::from_static(kind))], text)
}

fn script(text: &'static str) -> impl IntoResponse {
    asset("text/javascript; charset=utf-8", text)
}

async fn metrics_page(State(shared): State<Shared>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], metrics::render(&shared.run))
}

async fn plan_json(State(shared): State<Shared>) -> impl IntoResponse {
    (
        [(CONTENT_TYPE, "application/json")],
        serde_json::to_string(&shared.run.plan).unwrap_or_default(),
    )
}

async fn live_json(State(shared): State<Shared>) -> impl IntoResponse {
    let text = shared.live.borrow().clone();
    ([(CONTENT_TYPE, "application/json")], text)
}

/// The documents as they are made. A client that is slow misses those in between.
async fn events(
    State(shared): State<Shared>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let documents = WatchStream::new(shared.live);
    let events = documents.map(|text| Ok(Event::default().data(text).retry(RETRY)));
    Sse::new(events).keep_alive(KeepAlive::default())
}
