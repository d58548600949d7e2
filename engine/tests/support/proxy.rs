//! A proxy before a registry that counts requests and breaks those it is told to break.
//!
//! It makes every connection carry one request (`Connection: close`), so that the end of an
//! answer is the end of the connection and nothing else needs to be understood.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// One request, as far as the proxy reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// From 1.
    pub number: usize,
    pub method: String,
    pub path: String,
    pub range: Option<String>,
}

/// What becomes of a request.
#[derive(Debug, Clone, Default)]
pub enum Fault {
    /// It is passed on.
    #[default]
    None,
    /// The connection is closed; the registry sees nothing.
    CutBefore,
    /// The registry does it; the answer is lost.
    CutAfter,
    /// So many bytes of the request's body are passed on, then both connections are closed.
    CutUpload(usize),
    /// So many bytes of the answer, head included, are passed on.
    CutAnswer(usize),
    /// The registry sees nothing; this is the answer: status line and further header lines.
    Answer(&'static str),
    /// As [`Self::Answer`], with a body in JSON.
    Refuse(&'static str, &'static str),
    /// It is passed on after a pause.
    Slow(Duration),
    /// Its body is passed on in pieces, with a pause after each.
    SlowUpload(Duration),
}

/// Bytes of a piece of a slow upload.
const PIECE: u64 = 256 << 10;

type Decide = dyn Fn(&Request) -> Fault + Send + Sync;

/// A proxy that runs until it is dropped.
pub struct Proxy {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub async fn before(
        registry: SocketAddr,
        decide: impl Fn(&Request) -> Fault + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let decide: Arc<Decide> = Arc::new(decide);
        let task = tokio::spawn({
            let seen = Arc::clone(&seen);
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    let (seen, decide) = (Arc::clone(&seen), Arc::clone(&decide));
                    tokio::spawn(async move {
                        // Connections end in every way there is; that is the point.
                        let _ended = serve(client, registry, &seen, &*decide).await;
                    });
                }
            }
        });
        Self {
            address,
            seen,
            task,
        }
    }

    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The requests so far, in the order of their arrival.
    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// How many of them would change something, or move bytes up.
    pub fn writes(&self) -> usize {
        self.seen()
            .iter()
            .filter(|request| !matches!(request.method.as_str(), "GET" | "HEAD"))
            .count()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut client: TcpStream,
    registry: SocketAddr,
    seen: &Mutex<Vec<Request>>,
    decide: &Decide,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = client.read_u8().await?;
        head.push(byte);
        // A TLS hello: the client finds out that this is plain HTTP.
        if head.len() == 1 && byte == 0x16 {
            return client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut words = head.split_ascii_whitespace();
    let (method, path) = (
        words.next().unwrap_or_default().to_owned(),
        words.next().unwrap_or_default().to_owned(),
    );
    let field = |name: &str| {
        head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found
                .eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        })
    };
    let length: usize = field("content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    let request = {
        let mut seen = seen.lock().unwrap();
        let request = Request {
            number: seen.len() + 1,
            method,
            path,
            range: field("range"),
        };
        seen.push(request.clone());
        request
    };
    let fault = decide(&request);
    match fault {
        Fault::CutBefore => return Ok(()),
        Fault::Answer(text) => {
            drain(&mut client, length).await?;
            let answer =
                format!("HTTP/1.1 {text}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            return client.write_all(answer.as_bytes()).await;
        }
        Fault::Refuse(text, body) => {
            drain(&mut client, length).await?;
            let answer = format!(
                "HTTP/1.1 {text}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            return client.write_all(answer.as_bytes()).await;
        }
        Fault::Slow(pause) => tokio::time::sleep(pause).await,
        _ => {}
    }
    let mut upstream = TcpStream::connect(registry).await?;
    upstream
        .write_all(
            head.replacen("\r\n", "\r\nConnection: close\r\n", 1)
                .as_bytes(),
        )
        .await?;
    let up = if let Fault::CutUpload(most) = fault {
        most.min(length)
    } else {
        length
    };
    let (mut from, mut to) = client.split();
    let mut body = (&mut from).take(u64::try_from(up).unwrap());
    if let Fault::SlowUpload(pause) = fault {
        while copy(&mut (&mut body).take(PIECE), &mut upstream).await? > 0 {
            tokio::time::sleep(pause).await;
        }
    }
    copy(&mut body, &mut upstream).await?;
    match fault {
        Fault::CutUpload(_) => {}
        Fault::CutAfter => {
            upstream.read_to_end(&mut Vec::new()).await?;
        }
        Fault::CutAnswer(most) => {
            copy(&mut upstream.take(u64::try_from(most).unwrap()), &mut to).await?;
        }
        _ => {
            let answered = copy(&mut upstream, &mut to).await;
            if !matches!(answered, Ok(1..)) {
                eprintln!("the registry did not answer {request:?}: {answered:?}");
            }
            answered?;
        }
    }
    to.shutdown().await
}

async fn drain(client: &mut TcpStream, length: usize) -> std::io::Result<()> {
    copy(
        &mut client.take(u64::try_from(length).unwrap()),
        &mut tokio::io::sink(),
    )
    .await?;
    Ok(())
}
