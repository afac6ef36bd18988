//! What is at the root? A line of text; and for people a page that greets, saves, and shows whose birthdays come.

use std::net::IpAddr;
use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::header::{HOST, LOCATION, VARY};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Response, StatusCode, Uri};
use axum::response::IntoResponse;
use birthday::{Birthday, Coming, Date, InvalidName, Name};
use serde::Deserialize;

use super::App;
use super::accept::{Wanted, wanted};
use super::authorization::Authorization;
use super::hello::{keep, wish};
use super::html;
use super::parameters::encoded;
use super::payload::{Expected, Submitted};
use super::refusal::Refusal;
use super::same_site::SITE;
use crate::coming::{Ahead, DAYS_MAX, page};

/// The most birthdays that the page shows.
const SHOWN: usize = 20;

/// The page of a service that asks for no tokens.
#[derive(Template)]
#[template(path = "page.html")]
struct Page<'a> {
    today: Date,
    yesterday: Date,
    zone: &'a str,
    greeting: Greeting,
    saving: Saving,
    list: List,
    /// `None` where the client didn't name the host.
    address: Option<Address>,
}

/// The page of a service that asks for tokens, which a browser doesn't show: nothing and nobody.
#[derive(Template)]
#[template(path = "locked.html")]
struct Locked<'a> {
    refused: Option<&'a Refusal>,
}

/// A field as it was filled in, and why that is not taken.
#[derive(Default)]
struct Field {
    typed: String,
    refused: Option<Refusal>,
}

/// The form that greets, and whom it greeted with which words.
#[derive(Default)]
struct Greeting {
    name: Field,
    told: Option<(Name, String)>,
}

/// The form that saves, and why the store didn't.
#[derive(Default)]
struct Saving {
    username: Field,
    date_of_birth: Field,
    refused: Option<Refusal>,
}

/// The coming birthdays.
enum List {
    /// At most [`SHOWN`].
    Read { soonest: Vec<Coming>, has_more: bool },
    /// The store gave no answer, perhaps to something else before.
    Unread(Option<Refusal>),
}

/// Where the browser found this page.
struct Address {
    scheme: &'static str,
    host: Authority,
}

/// What the form that saves sends.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SaveForm {
    username: String,
    date_of_birth: String,
}

impl Expected for SaveForm {
    const SHAPE: &'static str = "send the fields username and dateOfBirth once each";
}

/// `GET /`: the words that every program says first, or the page, by what is wanted.
pub(super) async fn show(State(app): State<Arc<App>>, uri: Uri, headers: HeaderMap) -> Response<Body> {
    let answer = match (wanted(&headers), &app.authorization) {
        (Wanted::Text, _) => "Hello, world!".into_response(),
        (Wanted::Page, Authorization::ByToken(..)) => Locked { refused: None }.answer(),
        (Wanted::Page, Authorization::Off) => {
            let today = app.almanac.today(None);
            // At once: the store may take almost all of the time that there is for one answer.
            let (greeting, list) = tokio::join!(Greeting::of(&app, &uri, today), List::read(&app, today));
            Page::of(&app, today, &headers, (greeting, Saving::default(), list)).answer()
        }
    };
    ([(VARY, "Accept")], answer).into_response()
}

/// `POST /`: saves what the form says, and goes on to the greeting, so that a reload sends nothing again.
pub(super) async fn save(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Submitted(form): Submitted<SaveForm>,
) -> Response<Body> {
    let today = app.almanac.today(None);
    let name = parse(&form.username);
    let birthday = Birthday::parse_full(&form.date_of_birth, today);
    let refused = match (name, birthday) {
        (Ok(name), Ok(birthday)) => match keep(&app, name.clone(), birthday).await {
            Ok(()) => return greeting_of(&name),
            Err(refusal) => Saving { refused: Some(refusal), ..Saving::from(form) },
        },
        (name, birthday) => Saving::from(form).refused_for(name.err(), birthday.err()),
    };
    match &app.authorization {
        Authorization::ByToken(..) => Locked { refused: refused.refusal() }.answer(),
        Authorization::Off => {
            let list = match refused.refused {
                // Another try would take more time than there is for one answer.
                Some(_) => List::Unread(None),
                None => List::read(&app, today).await,
            };
            Page::of(&app, today, &headers, (Greeting::default(), refused, list)).answer()
        }
    }
}

/// What stands around a name that somebody typed, a keyboard may have put there.
fn parse(typed: &str) -> Result<Name, InvalidName> {
    Name::parse_letters(typed.trim())
}

/// Below the path by which a proxy knows this page, whichever that is.
fn greeting_of(name: &Name) -> Response<Body> {
    let location = format!("./?name={}", encoded(name.as_str()));
    (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()
}

impl<'a> Page<'a> {
    fn of(
        app: &'a App,
        today: Date,
        headers: &HeaderMap,
        (greeting, saving, list): (Greeting, Saving, List),
    ) -> Self {
        // Only the calendar's first day has none before it.
        let yesterday = today.yesterday().unwrap_or(today);
        let (zone, address) = (app.almanac.zone_name(), Address::of(headers));
        Self { today, yesterday, zone, greeting, saving, list, address }
    }

    fn title(&self) -> &'static str {
        match (self.greeting.refusal(), self.saving.refusal(), self.list.refusal()) {
            (Some(_), _, _) => "Not greeted – Hello, birthday",
            (None, Some(_), _) => "Not saved – Hello, birthday",
            (None, None, Some(_)) => "Not complete – Hello, birthday",
            (None, None, None) => "Hello, birthday",
        }
    }

    fn answer(&self) -> Response<Body> {
        answer(self, &[self.greeting.refusal(), self.saving.refusal(), self.list.refusal()])
    }
}

impl Locked<'_> {
    fn answer(&self) -> Response<Body> {
        answer(self, &[self.refused])
    }
}

fn answer(page: &impl Template, refusals: &[Option<&Refusal>]) -> Response<Body> {
    let refusals: Vec<_> = refusals.iter().copied().flatten().collect();
    Refusal::told_by(&refusals, html::answer(StatusCode::OK, page))
}

impl Greeting {
    /// Greets whom the query names.
    async fn of(app: &App, uri: &Uri, today: Date) -> Self {
        #[derive(Deserialize)]
        struct Parameters {
            name: Option<String>,
        }
        match Query::try_from_uri(uri) {
            Ok(Query(Parameters { name: None })) => Self::default(),
            Ok(Query(Parameters { name: Some(typed) })) => Self::told(app, typed, today).await,
            Err(_) => {
                let refused = Refusal::bad_request("send the parameter name at most once");
                Self { name: Field { typed: String::new(), refused: Some(refused) }, told: None }
            }
        }
    }

    async fn told(app: &App, typed: String, today: Date) -> Self {
        let told = match parse(&typed) {
            Ok(name) => wish(app, &name, today).await.map(|wish| (name, wish)),
            Err(error) => Err(error.into()),
        };
        match told {
            Ok(told) => Self { name: Field { typed, refused: None }, told: Some(told) },
            Err(refusal) => Self { name: Field { typed, refused: Some(refusal) }, told: None },
        }
    }

    const fn refusal(&self) -> Option<&Refusal> {
        self.name.refused.as_ref()
    }
}

impl Saving {
    fn refused_for(
        mut self,
        username: Option<impl Into<Refusal>>,
        date_of_birth: Option<impl Into<Refusal>>,
    ) -> Self {
        self.username.refused = username.map(Into::into);
        self.date_of_birth.refused = date_of_birth.map(Into::into);
        self
    }

    fn refusal(&self) -> Option<&Refusal> {
        let fields = self.username.refused.as_ref().or(self.date_of_birth.refused.as_ref());
        fields.or(self.refused.as_ref())
    }
}

impl From<SaveForm> for Saving {
    fn from(form: SaveForm) -> Self {
        let field = |typed| Field { typed, refused: None };
        Self { username: field(form.username), date_of_birth: field(form.date_of_birth), refused: None }
    }
}

impl List {
    async fn read(app: &App, today: Date) -> Self {
        // One more than is shown tells whether there are more.
        match page(&app.store, &app.almanac, Ahead::of(today, DAYS_MAX), None, SHOWN + 1).await {
            Ok(mut soonest) => {
                let has_more = SHOWN < soonest.len();
                soonest.truncate(SHOWN);
                Self::Read { soonest, has_more }
            }
            Err(error) => Self::Unread(Some(Refusal::unread(&error))),
        }
    }

    const fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Read { .. } => None,
            Self::Unread(refusal) => refusal.as_ref(),
        }
    }
}

impl Address {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let host: Authority = headers.get(HOST)?.to_str().ok()?.parse().ok()?;
        // The proxy that may speak TLS before us says so in no header that could be trusted. Of browsers this is
        // known: they send this header over TLS, and over plain HTTP to their own machine alone.
        let is_secure = headers.contains_key(SITE) && !is_loopback(host.host());
        Some(Self { scheme: if is_secure { "https" } else { "http" }, host })
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    address.is_ok_and(|address| address.is_loopback()) || host == "localhost" || host.ends_with(".localhost")
}
