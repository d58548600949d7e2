//! Connections that nothing comes of.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::fake::start;

/// Whoever connects, says only this and waits, is cut off, however many there are.
async fn connections_end_and_leave_room(says: &[u8]) {
    let server = start(|_| {}).await;
    let address = server.url.trim_start_matches("http://").to_owned();
    let mut silent = Vec::new();
    for _ in 0..600 {
        let mut connection = tokio::net::TcpStream::connect(&address).await.unwrap();
        connection.write_all(says).await.unwrap();
        silent.push(connection);
    }
    // As long as a connection may be silent, and a little more.
    let patience = Duration::from_secs(50);
    let answer = tokio::time::timeout(patience, server.get("/healthz")).await;
    assert_eq!(answer.expect("there is no room").status(), 200);
    // It is told that it took too long, or just ended.
    let mut left = Vec::new();
    let read = tokio::time::timeout(patience, silent[0].read_to_end(&mut left)).await;
    assert!(read.is_ok(), "it is still open");
}

#[tokio::test]
async fn connections_that_say_nothing_end_and_leave_room_for_others() {
    connections_end_and_leave_room(b"").await;
}

#[tokio::test]
async fn connections_that_begin_a_request_end_and_leave_room_for_others() {
    let half = b"GET /v1/status HTTP/1.1\r\nhost: weir\r\nx-slow: ";
    connections_end_and_leave_room(half).await;
}

#[tokio::test]
async fn connections_that_want_http2_end_and_leave_room_for_others() {
    connections_end_and_leave_room(b"PRI * HT").await;
    connections_end_and_leave_room(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
}
