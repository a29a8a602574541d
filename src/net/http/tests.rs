//! A site on a real socket.
#![allow(clippy::unwrap_used)]

use super::*;

/// Says what it was asked.
struct Echo;

impl Site for Echo {
    fn answer<'a>(&'a self, request: &'a Request, body: &'a mut Body<'_>) -> Answering<'a> {
        Box::pin(async move {
            if request.head.path == "/ignored" {
                return Response::of_status(404);
            }
            let text = match body.whole(100).await {
                Ok(Some(bytes)) => String::from_utf8(bytes).unwrap(),
                Ok(None) => "too long".to_owned(),
                Err(e) => format!("{:?}", e.kind()),
            };
            let head = &request.head;
            Response::new(
                200,
                "text/plain",
                format!("{} {} {text}", head.method, head.path),
            )
        })
    }
}

/// What comes back for these pieces, until the other side closes.
async fn talk(pieces: &[&str]) -> String {
    let idle = Duration::from_millis(300);
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let port = HttpPort::bind(address, Transport::Plain, idle, Arc::new(Echo)).unwrap();
    let address = port.local_addr().unwrap();
    let server = tokio::spawn(port.run());
    let mut client = TcpStream::connect(address).await.unwrap();
    for piece in pieces {
        client.write_all(piece.as_bytes()).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    server.abort();
    answer
}

/// The contents of the answers.
async fn contents(pieces: &[&str]) -> Vec<String> {
    let answer = talk(pieces).await;
    let mut rest = answer.as_str();
    let mut contents = Vec::new();
    while let Some((head, behind)) = rest.split_once("\r\n\r\n") {
        if head.starts_with("HTTP/1.1 100") {
            contents.push("continue".to_owned());
            rest = behind;
            continue;
        }
        let len = head.split("Content-Length: ").nth(1).unwrap();
        let len: usize = len.lines().next().unwrap().parse().unwrap();
        let (content, next) = behind.split_at(len);
        contents.push(content.to_owned());
        rest = next;
    }
    assert_eq!(rest, "");
    contents
}

#[tokio::test]
async fn requests_follow_one_another() {
    let two = "GET /a HTTP/1.1\r\nHost: h\r\n\r\nPOST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
    assert_eq!(contents(&[two]).await, ["GET /a ", "POST /b abc"]);
    let (first, second) = two.split_at(30);
    assert_eq!(contents(&[first, second]).await, ["GET /a ", "POST /b abc"]);
    let closing = "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /b HTTP/1.0\r\n\r\n";
    assert_eq!(contents(&[closing]).await, ["GET /a "]);
}

#[tokio::test]
async fn bodies_in_chunks_and_bodies_that_nobody_reads() {
    let chunked = "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\nT: x\r\n\r\n";
    let then = "GET /d HTTP/1.1\r\nHost: h\r\n\r\n";
    assert_eq!(
        contents(&[chunked, then]).await,
        ["POST /c abcde", "GET /d "]
    );
    let ignored = "POST /ignored HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
    assert_eq!(
        contents(&[ignored, then]).await,
        ["404 Not Found\n", "GET /d "]
    );
    let bad = "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n";
    assert_eq!(contents(&[bad]).await, ["POST /c InvalidData"]);
    let long = format!(
        "POST /c HTTP/1.1\r\nHost: h\r\nContent-Length: 200\r\n\r\n{}",
        "x".repeat(200)
    );
    assert_eq!(contents(&[&long]).await, ["POST /c too long"]);
}

#[tokio::test]
async fn who_waits_for_a_word_gets_it() {
    let head = "POST /e HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    assert_eq!(contents(&[head, "ok"]).await, ["continue", "POST /e ok"]);
}

#[tokio::test]
async fn refused_and_silent_connections_end() {
    assert!(
        talk(&["nonsense\r\n\r\n"])
            .await
            .starts_with("HTTP/1.1 400 Bad Request\r\n")
    );
    assert!(
        talk(&["TRACE / HTTP/1.0\r\n\r\n"])
            .await
            .starts_with("HTTP/1.1 403")
    );
    assert_eq!(talk(&["GET / HTTP/1.1\r\nHost"]).await, "");
    assert_eq!(talk(&[]).await, "");
    let head = talk(&["HEAD /x HTTP/1.0\r\n\r\n"]).await;
    assert!(
        head.contains("Content-Length: 8\r\n") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
}
