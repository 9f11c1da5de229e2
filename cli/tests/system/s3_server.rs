//! An S3 server over HTTP on loopback, with signed requests.

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::S3Result;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;

pub const KEY: &str = "a-key";
pub const SECRET: &str = "a-secret";
pub const REGION: &str = "us-east-1";

/// Serves the buckets that are folders of `root` on a loopback port, on a thread of its own for as long as the test process lives.
/// Gives the endpoint.
pub fn serve(root: &std::path::Path) -> String {
    serve_those(root, Everyone)
}

/// As [`serve`], and `access` may refuse requests.
pub fn serve_those(root: &std::path::Path, access: impl S3Access) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    listener.set_nonblocking(true).unwrap();
    let mut service = S3ServiceBuilder::new(FileSystem::new(root).unwrap());
    service.set_auth(SimpleAuth::from_single(KEY, SECRET));
    service.set_access(access);
    let service = service.build();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let service = service.clone();
                tokio::spawn(async move {
                    // A client that goes away in the middle is no concern of the test.
                    let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
    });
    endpoint
}

/// Whose signature is right may do everything.
struct Everyone;

#[async_trait::async_trait]
impl S3Access for Everyone {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        signed(context)
    }
}

/// # Errors
/// Where a request has no signature.
pub fn signed(context: &S3AccessContext<'_>) -> S3Result<()> {
    match context.credentials() {
        Some(_) => Ok(()),
        None => Err(s3s::s3_error!(AccessDenied, "signature is required")),
    }
}

/// The variables by which a program finds the server.
pub fn variables(endpoint: &str, secret: &str) -> [(String, String); 4] {
    [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", KEY),
        ("AWS_SECRET_ACCESS_KEY", secret),
    ]
    .map(|(name, value)| (name.to_string(), value.to_string()))
}
