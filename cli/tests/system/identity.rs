//! Who a machine or a pod is, is told by a server beside it: keys for an S3 server that come from an instance's metadata, from a token of
//! web identity, or from a container's agent. The servers here speak those parts of Amazon's interfaces that are asked for.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::folder::Folder;
use super::process::{curvefleet, run};
use super::s3_server::{KEY, REGION, SECRET, serve};

/// By what they are known to each other.
const TOKEN: &str = "who-i-am";
const EXPIRES: &str = "2999-01-01T00:00:00Z";

/// A server that answers requests by their first lines, and keeps their heads.
struct Issuer {
    endpoint: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Issuer {
    fn start(answer: fn(&str) -> String) -> Issuer {
        Issuer::start_with(None, answer)
    }

    fn start_with(tls: Option<Arc<ServerConfig>>, answer: fn(&str) -> String) -> Issuer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let endpoint = format!("{scheme}://localhost:{}", listener.local_addr().unwrap().port());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let known = requests.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map(Result::unwrap) {
                let request = match &tls {
                    None => serve_one(client, answer),
                    Some(tls) => {
                        serve_one(StreamOwned::new(ServerConnection::new(tls.clone()).unwrap(), client), answer)
                    }
                };
                known.lock().unwrap().push(request);
            }
        });
        Issuer { endpoint, requests }
    }

    fn was_asked(&self, parts: &[&str]) -> bool {
        self.requests.lock().unwrap().iter().any(|request| parts.iter().all(|part| request.contains(part)))
    }
}

/// TLS with the certificate that `curvefleet certs` makes.
fn tls(folder: &Folder) -> Arc<ServerConfig> {
    run(curvefleet(folder.path()).args(["certs", "--host", "localhost"])).succeeded();
    let file = |name: &str| folder.path().join("certs").join(name);
    let chain = CertificateDer::pem_file_iter(file("server.crt")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(file("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_no_client_auth().with_single_cert(chain, key).unwrap())
}

/// Answers one request and closes; gives its head.
fn serve_one(client: impl Read + Write, answer: fn(&str) -> String) -> String {
    let mut reader = BufReader::new(client);
    let (mut head, mut length) = (String::new(), 0);
    while !head.ends_with("\r\n\r\n") {
        let from = head.len();
        assert_ne!(reader.read_line(&mut head).unwrap(), 0, "the client went away");
        if let Some(value) = head[from..].to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    reader.read_exact(&mut vec![0; length]).unwrap();
    let body = answer(head.lines().next().unwrap());
    let status = if body.is_empty() { "404 Not Found" } else { "200 OK" };
    let text = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    reader.get_mut().write_all(text.as_bytes()).unwrap();
    reader.get_mut().flush().unwrap();
    head
}

/// Keys as an instance's metadata and a container's agent give them.
fn keys() -> String {
    format!(
        "{{\"AccessKeyId\":\"{KEY}\",\"SecretAccessKey\":\"{SECRET}\",\"Token\":\"a-session\",\"Expiration\":\"{EXPIRES}\",\
         \"Code\":\"Success\"}}"
    )
}

/// An S3 server can be used with nothing but these variables to go by.
fn works_with(folder: &Folder, variables: &[(&str, &str)]) {
    let buckets = Folder::new();
    std::fs::create_dir(buckets.path().join("lab")).unwrap();
    let endpoint = serve(buckets.path());
    let mut command = curvefleet(folder.path());
    command.args(["store", "check", "s3://lab/experiments"]);
    command.env("AWS_ENDPOINT_URL", endpoint).env("AWS_REGION", REGION).envs(variables.iter().copied());
    run(&mut command).succeeded();
}

#[test]
fn an_instance_has_its_keys_from_its_metadata() {
    let issuer = Issuer::start(|line| match line.split(' ').nth(1).unwrap() {
        "/latest/api/token" => TOKEN.to_string(),
        "/latest/meta-data/iam/security-credentials/" => "lab-role".to_string(),
        "/latest/meta-data/iam/security-credentials/lab-role" => keys(),
        _ => String::new(),
    });
    works_with(&Folder::new(), &[("AWS_METADATA_ENDPOINT", &issuer.endpoint)]);
    assert!(issuer.was_asked(&["PUT /latest/api/token", "x-aws-ec2-metadata-token-ttl-seconds"]));
    assert!(issuer.was_asked(&["lab-role", &format!("x-aws-ec2-metadata-token: {TOKEN}")]));
}

#[test]
fn a_pod_has_its_keys_by_web_identity() {
    let folder = Folder::new().and("token", TOKEN);
    let issuer = Issuer::start_with(Some(tls(&folder)), |line| {
        if !line.starts_with("POST /?") {
            return String::new();
        }
        format!(
            "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
             <AssumeRoleWithWebIdentityResult><Credentials><SessionToken>a-session</SessionToken>\
             <SecretAccessKey>{SECRET}</SecretAccessKey><Expiration>{EXPIRES}</Expiration><AccessKeyId>{KEY}</AccessKeyId>\
             </Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
        )
    });
    works_with(
        &folder,
        &[
            ("SSL_CERT_FILE", "certs/ca.crt"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "token"),
            ("AWS_ROLE_ARN", "arn:aws:iam::1:role/lab"),
            ("AWS_ENDPOINT_URL_STS", &issuer.endpoint),
        ],
    );
    assert!(issuer.was_asked(&[
        "Action=AssumeRoleWithWebIdentity",
        &format!("WebIdentityToken={TOKEN}"),
        "role%2Flab"
    ]));
}

#[test]
fn a_container_has_its_keys_from_its_agent() {
    let issuer = Issuer::start(|line| if line.contains("/v1/credentials") { keys() } else { String::new() });
    let folder = Folder::new().and("token", TOKEN);
    works_with(
        &folder,
        &[
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &format!("{}/v1/credentials", issuer.endpoint)),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "token"),
        ],
    );
    assert!(issuer.was_asked(&[&format!("authorization: {TOKEN}")]));
}
