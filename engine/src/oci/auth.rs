//! Logging in: answers a registry's challenges and keeps the tokens it was given.
//!
//! A token is fetched for a set of scopes and cached under it: a mount needs two scopes in one
//! token, and a token for one of them is refused.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::{
    RequestBuilder, Response, StatusCode, Url,
    header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE},
};
use serde::Deserialize;
use tokio::{sync::Mutex as AsyncMutex, time::Instant};

use super::{
    answer::Complaint,
    challenge::{self, Challenge, TokenServer},
    config::RegistryConfig,
    credentials::{self, Credentials},
    error::{AuthFailure, OciError, from_transport, innermost},
    leads,
};
use crate::secret::Secret;

/// What a request needs, `repository:team/web:pull,push`, in order and each once.
pub(super) type Scopes = Vec<String>;

/// The scope of doing `actions` in a repository.
pub(super) fn scope(repository: &str, actions: &str) -> String {
    format!("repository:{repository}:{actions}")
}

pub(super) struct Auth {
    registry: String,
    config: RegistryConfig,
    http: reqwest::Client,
    /// Found when they are first needed, and again when they are refused.
    credentials: RwLock<Option<Arc<Credentials>>>,
    /// Held while credentials are looked for: one looks, the others wait.
    finding: AsyncMutex<()>,
    /// The last challenge met: later requests bring what it asks for at once.
    challenge: RwLock<Option<Challenge>>,
    tokens: Mutex<BTreeMap<Scopes, Place>>,
}

/// Where the token of a set of scopes is kept, and fetched by one at a time.
type Place = Arc<AsyncMutex<Option<Token>>>;

struct Token {
    header: HeaderValue,
    expires: Instant,
}

/// What a token server answers.
#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<Secret>,
    access_token: Option<Secret>,
    expires_in: Option<u64>,
}

/// A token that names no life has this one (distribution's token specification).
const DEFAULT_LIFE: Duration = Duration::from_secs(60);

/// A token is renewed after this time however long it claims to live: no registry gives one for
/// longer on purpose, and what a server says here must not reach past the end of the clock.
const LONGEST_LIFE: Duration = Duration::from_secs(3600);

/// A token is renewed so long before its end, for a request takes time to arrive.
const MARGIN: Duration = Duration::from_secs(5);

impl Auth {
    pub fn new(registry: &str, config: &RegistryConfig, http: reqwest::Client) -> Self {
        Self {
            registry: registry.to_owned(),
            config: config.clone(),
            http,
            credentials: RwLock::new(None),
            finding: AsyncMutex::new(()),
            challenge: RwLock::new(None),
            tokens: Mutex::new(BTreeMap::new()),
        }
    }

    /// What to send along with a request that needs `scopes`; nothing as long as the registry
    /// has not asked for a login.
    pub async fn header(&self, scopes: &Scopes) -> Result<Option<HeaderValue>, OciError> {
        let known = self
            .challenge
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match known {
            None => Ok(None),
            Some(Challenge::Basic) => Ok(basic(&*self.credentials().await?)),
            Some(Challenge::Bearer(server)) => {
                if let Credentials::Bearer(token) = &*self.credentials().await? {
                    return Ok(secret_header("Bearer", token.reveal()));
                }
                self.token(&server, scopes, scopes, None).await.map(Some)
            }
        }
    }

    /// Takes in the challenge of a 401, answered to a request for `what` that was sent with
    /// `sent`. Returns what to send with the second try.
    ///
    /// # Errors
    /// If a second try is pointless: the login is missing, wrong, or not enough.
    pub async fn answer(
        &self,
        what: &str,
        headers: &HeaderMap,
        scopes: &Scopes,
        sent: Option<&HeaderValue>,
    ) -> Result<HeaderValue, OciError> {
        let values: Vec<&str> = headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|v| v.to_str().ok())
            .collect();
        let challenges = challenge::parse(values.iter().copied());
        let bearer = challenges
            .iter()
            .find(|challenge| matches!(challenge, Challenge::Bearer(_)));
        let Some(chosen) = bearer.or_else(|| challenges.first()).cloned() else {
            return Err(failed(AuthFailure::UnknownChallenge {
                registry: self.registry.clone(),
                what: what.to_owned(),
                challenge: values.join(", "),
            }));
        };
        *self
            .challenge
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(chosen.clone());
        let credentials = self.credentials().await?;
        let fresh = match (&chosen, &*credentials) {
            (_, Credentials::Bearer(token)) => secret_header("Bearer", token.reveal()),
            (Challenge::Basic, credentials) => basic(credentials),
            (Challenge::Bearer(server), _) => {
                let mut wanted: Scopes = scopes.iter().chain(&server.scopes).cloned().collect();
                wanted.sort();
                wanted.dedup();
                return self.token(server, scopes, &wanted, sent).await;
            }
        };
        match fresh {
            None => Err(failed(AuthFailure::LoginNeeded {
                registry: self.registry.clone(),
                what: what.to_owned(),
                message: String::new(),
            })),
            Some(fresh) if sent == Some(&fresh) => Err(self.refused("the registry", String::new())),
            Some(fresh) => Ok(fresh),
        }
    }

    /// The error for a request that was refused although it brought the best login we have.
    pub async fn denied(
        &self,
        what: &str,
        status: StatusCode,
        headers: &HeaderMap,
        scopes: &Scopes,
        complaint: Complaint,
    ) -> OciError {
        let Complaint { codes, message } = complaint;
        let values = headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|v| v.to_str().ok());
        let challenges = challenge::parse(values);
        // Asked again for name and password, although they were sent: they are wrong.
        if challenges.first() == Some(&Challenge::Basic) {
            return self.refused("the registry", message);
        }
        let asked = challenges
            .into_iter()
            .find_map(|challenge| match challenge {
                Challenge::Bearer(server) if !server.scopes.is_empty() => Some(server.scopes),
                _ => None,
            });
        let credentials = self.credentials().await;
        let is_nobody = credentials.is_ok_and(|found| *found == Credentials::Anonymous);
        let (registry, what) = (self.registry.clone(), what.to_owned());
        // Where it gives a reason, a login need not be what is missing: it asks for one with 401.
        let has_reason = match is_nobody {
            true => !message.is_empty(),
            false => !is_of_rights(&codes),
        };
        if status == StatusCode::FORBIDDEN && has_reason {
            return failed(AuthFailure::Forbidden {
                registry,
                what,
                who: self.who(),
                message,
            });
        }
        if is_nobody {
            return failed(AuthFailure::LoginNeeded {
                registry,
                what,
                message,
            });
        }
        failed(AuthFailure::Denied {
            registry,
            what,
            who: self.who(),
            scopes: asked.unwrap_or_else(|| scopes.clone()),
            message,
        })
    }

    /// The credentials that requests bring now; none before they are needed.
    pub fn known(&self) -> Option<Arc<Credentials>> {
        let known = self.credentials.read();
        known.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks for the credentials once more, after those `used` were refused: logins end, and people
    /// correct them. Returns whether there are others, which may be let in.
    ///
    /// # Errors
    /// What holds them cannot be read any more.
    pub async fn renew(&self, used: Option<&Arc<Credentials>>) -> Result<bool, OciError> {
        let _finding = self.finding.lock().await;
        let Some(known) = self.known() else {
            return Ok(false);
        };
        if used.is_some_and(|used| *used != known) {
            return Ok(true);
        }
        let found = self.find().await?;
        if *known == found {
            return Ok(false);
        }
        self.keep(found);
        self.tokens
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        tracing::info!(
            registry = self.registry,
            "the login was refused, and there is another by now: trying it"
        );
        Ok(true)
    }

    async fn credentials(&self) -> Result<Arc<Credentials>, OciError> {
        if let Some(known) = self.known() {
            return Ok(known);
        }
        let _finding = self.finding.lock().await;
        match self.known() {
            Some(known) => Ok(known),
            None => Ok(self.keep(self.find().await?)),
        }
    }

    async fn find(&self) -> Result<Credentials, OciError> {
        credentials::find(&self.registry, &self.config)
            .await
            .map_err(|error| OciError::Credentials(Box::new(error)))
    }

    fn keep(&self, found: Credentials) -> Arc<Credentials> {
        let found = Arc::new(found);
        let mut known = self
            .credentials
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *known = Some(Arc::clone(&found));
        found
    }

    /// The token cached under `key`, or a new one for `wanted`. One caller fetches, the others
    /// wait for it. A token equal to `stale` is not given again.
    async fn token(
        &self,
        server: &TokenServer,
        key: &Scopes,
        wanted: &Scopes,
        stale: Option<&HeaderValue>,
    ) -> Result<HeaderValue, OciError> {
        let place = self.place(key);
        let mut cached = place.lock().await;
        if let Some(token) = cached.as_ref()
            && token.expires > Instant::now()
            && stale != Some(&token.header)
        {
            return Ok(token.header.clone());
        }
        let token = self.fetch(server, wanted).await?;
        let header = token.header.clone();
        *cached = Some(token);
        Ok(header)
    }

    /// The place of the token cached under `key`. A new one takes that of all that ended: there may
    /// be as many as repositories, and pairs of them, and each is a few kilobytes.
    fn place(&self, key: &Scopes) -> Place {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if !tokens.contains_key(key) {
            let now = Instant::now();
            tokens.retain(|_, place| match place.try_lock() {
                // Nobody can take it up meanwhile: that needs the lock on all of them.
                Ok(token) if Arc::strong_count(place) == 1 => {
                    token.as_ref().is_some_and(|token| token.expires > now)
                }
                _ => true,
            });
        }
        Arc::clone(tokens.entry(key.clone()).or_default())
    }

    /// A new token for these scopes.
    async fn fetch(&self, server: &TokenServer, scopes: &Scopes) -> Result<Token, OciError> {
        let address = Url::parse(&server.realm).map_err(|error| OciError::Protocol {
            registry: self.registry.clone(),
            what: "fetching a token".to_owned(),
            reason: format!("its token server has no address: {error}"),
        })?;
        let at = leads::shown(&address);
        let what = format!("fetching a token from `{at}`");
        let credentials = self.credentials().await?;
        if address.scheme() != "https" && !self.config.insecure {
            return Err(failed(AuthFailure::PlainTokenServer {
                registry: self.registry.clone(),
                realm: at,
            }));
        }
        let host = address.host_str().unwrap_or_default();
        let request = match &*credentials {
            Credentials::Identity(refresh) => self.refresh(&address, server, scopes, refresh),
            credentials => self.login(&address, server, scopes, credentials),
        };
        let response = request
            .timeout(self.config.longest_answer())
            .send()
            .await
            .map_err(|error| from_transport(&self.registry, host, &what, &error))?;
        self.token_of(response, &address, &credentials, what).await
    }

    /// The token that the token server at `address` gives, or why it gives none.
    async fn token_of(
        &self,
        response: Response,
        address: &Url,
        credentials: &Credentials,
        what: String,
    ) -> Result<Token, OciError> {
        let at = leads::shown(address);
        let status = response.status();
        let retry_after = super::answer::retry_after(response.headers());
        let leads_to = super::client::text(response.headers(), "location")
            .and_then(|to| Some(leads::shown(&address.join(to).ok()?)));
        let text = super::answer::read(response, TOKEN_LIMIT)
            .await
            .map_err(|error| error.into_oci(&self.registry, &what))?;
        let message = || Complaint::of(&text).message;
        let protocol = |reason: String| OciError::Protocol {
            registry: self.registry.clone(),
            what: what.clone(),
            reason,
        };
        match status.as_u16() {
            300..=399 => Err(failed(AuthFailure::TokenServerLeadsOn {
                registry: self.registry.clone(),
                realm: at,
                address: leads_to,
            })),
            401 | 403 if *credentials == Credentials::Anonymous => {
                Err(failed(AuthFailure::LoginNeeded {
                    registry: self.registry.clone(),
                    what,
                    message: message(),
                }))
            }
            401 | 403 => Err(self.refused_at(&at, message())),
            400 if matches!(credentials, Credentials::Identity(_)) => {
                Err(self.refused_at(&at, message()))
            }
            408 | 425 | 429 | 500..=599 => Err(OciError::Unavailable {
                registry: self.registry.clone(),
                message: message(),
                what,
                status: status.as_u16(),
                retry_after,
            }),
            200..=299 => read_token(&text).map_err(protocol),
            _ => Err(protocol(format!("answered {status}"))),
        }
    }

    /// The request for a token in exchange for an identity token.
    fn refresh(
        &self,
        address: &Url,
        server: &TokenServer,
        scopes: &Scopes,
        refresh: &Secret,
    ) -> RequestBuilder {
        // A form has the form of a query.
        let mut form = address.clone();
        form.set_query(None);
        form.query_pairs_mut()
            .append_pair("grant_type", "refresh_token")
            .append_pair("refresh_token", refresh.reveal())
            .append_pair("client_id", "weir")
            .append_pair("scope", &scopes.join(" "))
            .append_pair("service", server.service.as_deref().unwrap_or_default());
        self.http
            .post(address.clone())
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.query().unwrap_or_default().to_owned())
    }

    /// The request for a token with name and password, or with nothing.
    fn login(
        &self,
        address: &Url,
        server: &TokenServer,
        scopes: &Scopes,
        credentials: &Credentials,
    ) -> RequestBuilder {
        let mut address = address.clone();
        {
            let mut query = address.query_pairs_mut();
            if let Some(service) = &server.service {
                query.append_pair("service", service);
            }
            for scope in scopes {
                query.append_pair("scope", scope);
            }
        }
        let request = self.http.get(address);
        match basic(credentials) {
            Some(header) => request.header(AUTHORIZATION, header),
            None => request,
        }
    }

    fn who(&self) -> String {
        match self.known().as_deref() {
            Some(Credentials::Basic { username, .. }) => format!("`{username}`"),
            Some(Credentials::Anonymous) | None => "nobody (no login)".to_owned(),
            Some(Credentials::Identity(_) | Credentials::Bearer(_)) => "a token".to_owned(),
        }
    }

    fn refused_at(&self, token_server: &str, message: String) -> OciError {
        self.refused(&format!("its token server `{token_server}`"), message)
    }

    fn refused(&self, by: &str, message: String) -> OciError {
        failed(AuthFailure::LoginRefused {
            registry: self.registry.clone(),
            who: self.who(),
            by: by.to_owned(),
            message,
        })
    }
}

/// Whether a registry that gives these codes may do so for want of a right; also if it gives none.
fn is_of_rights(codes: &[String]) -> bool {
    codes.iter().all(|code| {
        let code = code.to_ascii_uppercase();
        ["", "DENIED", "UNAUTHORIZED", "FORBIDDEN"].contains(&&*code)
    })
}

fn failed(failure: AuthFailure) -> OciError {
    OciError::Auth(Box::new(failure))
}

/// Tokens are a few kilobytes; more is not a token.
const TOKEN_LIMIT: usize = 1 << 20;

/// Reads what a token server answers, or says what is wrong with it.
fn read_token(text: &[u8]) -> Result<Token, String> {
    let answer: TokenAnswer = serde_json::from_slice(text).map_err(|error| innermost(&error))?;
    let life = answer.expires_in.map_or(DEFAULT_LIFE, Duration::from_secs);
    let life = life.min(LONGEST_LIFE);
    let token = answer
        .token
        .or(answer.access_token)
        .ok_or("the answer has no token")?;
    let header = secret_header("Bearer", token.reveal())
        .ok_or("the token has characters that no header may carry")?;
    Ok(Token {
        header,
        expires: Instant::now() + life.saturating_sub(MARGIN),
    })
}

fn basic(credentials: &Credentials) -> Option<HeaderValue> {
    match credentials {
        Credentials::Basic { username, password } => secret_header(
            "Basic",
            &STANDARD.encode(format!("{username}:{}", password.reveal())),
        ),
        _ => None,
    }
}

fn secret_header(scheme: &str, secret: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("{scheme} {secret}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_token_that_ended_makes_room_for_one_of_other_scopes() {
        super::super::install_crypto_provider();
        let auth = Auth::new("a", &RegistryConfig::default(), reqwest::Client::new());
        let of = |name: &str| vec![scope(name, "pull")];
        let put = async |name: &str, life: u64| {
            let place = auth.place(&of(name));
            *place.lock().await = Some(Token {
                header: HeaderValue::from_static("Bearer x"),
                expires: Instant::now() + Duration::from_secs(life),
            });
            place
        };
        let in_use = put("in-use", 0).await;
        put("ended", 0).await;
        put("lives", 60).await;
        let kept = || {
            let tokens = auth.tokens.lock().unwrap();
            let kept = tokens.keys().flatten().cloned().collect::<Vec<_>>();
            kept.join(" ")
        };
        assert_eq!(
            kept(),
            "repository:in-use:pull repository:lives:pull",
            "`ended` went when `lives` came"
        );
        drop(in_use);
        drop(auth.place(&of("lives")));
        assert!(kept().contains("in-use"), "nothing new, nothing dropped");
        drop(auth.place(&of("next")));
        assert_eq!(kept(), "repository:lives:pull repository:next:pull");
    }
}
