//! Profiles: what the files of AWS's own tools, `~/.aws/credentials` and `~/.aws/config`, say where the environment does not.
//!
//! Of a profile these keys count: `aws_access_key_id`, `aws_secret_access_key`, `aws_session_token`, `region`, `endpoint_url` (also of S3
//! in the section that `services` names), and `role_arn` with `web_identity_token_file` and `role_session_name`. The rules are those of the
//! AWS SDKs and Tools Reference Guide, "Shared config and credentials files".

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;

/// The files are read again after this long: who keeps temporary credentials fresh writes them there.
const READ_AGAIN: Duration = Duration::from_secs(60);

/// The variables by which the environment has credentials of its own, which go before those of files.
const OWN_CREDENTIALS: [&str; 4] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
];

/// Ways to credentials that only AWS's own tools go.
const NOT_OURS: [&str; 5] =
    ["credential_process", "sso_session", "sso_start_url", "source_profile", "credential_source"];

type Section = BTreeMap<String, String>;
type Sections = BTreeMap<String, Section>;

/// Where a profile stands.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    profile: String,
    /// Whether someone named it, so that it has to be there.
    is_named: bool,
    credentials: Option<PathBuf>,
    config: Option<PathBuf>,
}

/// What a profile adds to the environment.
#[derive(Debug, Default)]
pub struct Added {
    /// Variables that the environment lacks.
    pub variables: Vec<(String, String)>,
    /// Credentials, where the environment has none.
    pub credentials: Option<Arc<FileCredentials>>,
}

/// The keys of a profile, as they stand in the files by now.
#[derive(Debug)]
pub struct FileCredentials {
    place: Place,
    known: Mutex<(Arc<AwsCredential>, Instant)>,
}

/// What the profile adds to the environment.
///
/// # Errors
/// With a sentence, if a profile that is named is not there, a file cannot be read, or its credentials are to be had in a way that is
/// not taken here.
pub fn added(environment: &[(String, String)]) -> Result<Added, String> {
    let variable = |name: &str| {
        let found = environment.iter().find(|(known, value)| known == name && !value.is_empty());
        found.map(|(_, value)| value.clone())
    };
    let place = Place::of(&variable);
    let Some((profile, services)) = place.read()? else { return Ok(Added::default()) };
    let mut added = Added::default();
    let mut add = |name: &str, value: Option<&String>| {
        added.variables.extend(value.map(|value| (name.to_string(), value.clone())));
    };
    if variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION")).is_none() {
        add("AWS_REGION", profile.get("region"));
    }
    let ignored =
        variable("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let known = ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"].iter().any(|name| variable(name).is_some());
    if !ignored && !known {
        add("AWS_ENDPOINT_URL", services.get("s3.endpoint_url").or_else(|| profile.get("endpoint_url")));
    }
    if OWN_CREDENTIALS.iter().any(|name| variable(name).is_some()) {
        return Ok(added);
    }
    if let Some(credential) = keys(&profile) {
        let known = Mutex::new((Arc::new(credential), Instant::now()));
        added.credentials = Some(Arc::new(FileCredentials { place, known }));
    } else if let (Some(token), Some(role)) = (profile.get("web_identity_token_file"), profile.get("role_arn")) {
        add("AWS_WEB_IDENTITY_TOKEN_FILE", Some(token));
        add("AWS_ROLE_ARN", Some(role));
        add("AWS_ROLE_SESSION_NAME", profile.get("role_session_name"));
    } else if let Some(way) = NOT_OURS.iter().find(|way| profile.contains_key(**way)) {
        return Err(format!(
            "the profile `{0}` gets its credentials by `{way}`, which AWS's own tools do and curvefleet does not; \
             eval \"$(aws configure export-credentials --profile {0} --format env)\" puts them into the environment",
            place.profile
        ));
    }
    Ok(added)
}

impl Place {
    fn of(variable: &impl Fn(&str) -> Option<String>) -> Place {
        let named = variable("AWS_PROFILE").or_else(|| variable("AWS_DEFAULT_PROFILE"));
        let file = |name: &str, usual: &str| {
            let usual = || variable("HOME").map(|home| Path::new(&home).join(".aws").join(usual));
            variable(name).map(PathBuf::from).or_else(usual)
        };
        Place {
            is_named: named.is_some(),
            profile: named.unwrap_or_else(|| "default".to_string()),
            credentials: file("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
            config: file("AWS_CONFIG_FILE", "config"),
        }
    }

    /// The profile with the section of services that it names; `None` where there is none and none was asked for.
    fn read(&self) -> Result<Option<(Section, Section)>, String> {
        let mut config = read(self.config.as_deref())?;
        let mut credentials = read(self.credentials.as_deref())?;
        let mut found = config.remove(&format!("profile {}", self.profile));
        if self.profile == "default" {
            found = found.or_else(|| config.remove("default"));
        }
        // The file of credentials goes before the other.
        let profile = match (found, credentials.remove(&self.profile)) {
            (None, None) => None,
            (found, more) => {
                let mut profile = found.unwrap_or_default();
                profile.extend(more.unwrap_or_default());
                Some(profile)
            }
        };
        let Some(profile) = profile else {
            let shown =
                |path: &Option<PathBuf>| path.as_ref().map_or("~/.aws".to_string(), |path| path.display().to_string());
            return match self.is_named {
                false => Ok(None),
                true => Err(format!(
                    "the profile `{}` that AWS_PROFILE names is neither in {} nor in {}",
                    self.profile,
                    shown(&self.credentials),
                    shown(&self.config)
                )),
            };
        };
        let services = profile.get("services").and_then(|name| config.remove(&format!("services {name}")));
        Ok(Some((profile, services.unwrap_or_default())))
    }
}

#[async_trait]
impl CredentialProvider for FileCredentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.1.elapsed() >= READ_AGAIN {
            // While the files cannot be read, or are being written, what was known may still do.
            if let Some(credential) = self.place.read().ok().flatten().and_then(|(profile, _)| keys(&profile)) {
                known.0 = Arc::new(credential);
            }
            known.1 = Instant::now();
        }
        Ok(known.0.clone())
    }
}

fn keys(profile: &Section) -> Option<AwsCredential> {
    Some(AwsCredential {
        key_id: profile.get("aws_access_key_id")?.clone(),
        secret_key: profile.get("aws_secret_access_key")?.clone(),
        token: profile.get("aws_session_token").cloned(),
    })
}

/// A file's sections; none where there is no file.
fn read(path: Option<&Path>) -> Result<Sections, String> {
    let Some(path) = path else { return Ok(Sections::new()) };
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(parse(&text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Sections::new()),
        Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
    }
}

/// Sections of keys and values. What is indented below a key without a value stands as `key.subkey`.
fn parse(text: &str) -> Sections {
    let mut sections = Sections::new();
    let (mut section, mut group) = (None, None);
    for line in text.lines() {
        let content = without_comment(line).trim();
        if content.is_empty() {
            continue;
        }
        if let Some(name) = content.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
            sections.entry(name.clone()).or_default();
            (section, group) = (Some(name), None);
            continue;
        }
        let (Some(name), Some((key, value))) = (&section, content.split_once('=')) else { continue };
        let (key, value) = (key.trim().to_ascii_lowercase(), value.trim().to_string());
        let is_indented = line.starts_with([' ', '\t']);
        let key = match &group {
            Some(group) if is_indented => format!("{group}.{key}"),
            _ => {
                group = value.is_empty().then(|| key.clone());
                key
            }
        };
        if !value.is_empty() {
            sections.entry(name.clone()).or_default().insert(key, value);
        }
    }
    sections
}

/// Comments are lines that begin with `#` or `;`, and what follows one of them after a space.
fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with(['#', ';']) {
        return "";
    }
    let comment = [" #", " ;", "\t#", "\t;"].iter().filter_map(|mark| line.find(mark)).min();
    comment.map_or(line, |at| &line[..at])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::scratch::Scratch;
    use super::*;

    const CREDENTIALS: &str = "# of the lab\n[default]\naws_access_key_id = DEFAULT\naws_secret_access_key = s/e+c=r#et # mine\n\n\
                               [lab]\naws_access_key_id=LAB\naws_secret_access_key=secret\naws_session_token=token==\n";
    const CONFIG: &str = "[default]\nregion = eu-west-1\n\n[profile lab]\nregion = eu-north-1 ; cold\nservices = garage\n\
                          aws_access_key_id = NOT_THIS\n\n[services garage]\ns3 =\n  endpoint_url = http://127.0.0.1:3900\n\
                          dynamodb =\n  endpoint_url = http://no.where\n\n[profile role]\nrole_arn = arn:aws:iam::1:role/lab\n\
                          web_identity_token_file = /token\n\n[profile process]\ncredential_process = /bin/keys\n";

    fn home() -> Scratch {
        let home = Scratch::new();
        std::fs::create_dir(home.path().join(".aws")).unwrap();
        std::fs::write(home.path().join(".aws/credentials"), CREDENTIALS).unwrap();
        std::fs::write(home.path().join(".aws/config"), CONFIG).unwrap();
        home
    }

    fn given(home: &Scratch, variables: &[(&str, &str)]) -> Result<Added, String> {
        let home = ("HOME".to_string(), home.path().display().to_string());
        let others = variables.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        added(&std::iter::once(home).chain(others).collect::<Vec<_>>())
    }

    fn found(added: &Added, name: &str) -> Option<String> {
        added.variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }

    async fn credential(added: &Added) -> (String, String, Option<String>) {
        let found = added.credentials.as_ref().unwrap().get_credential().await.unwrap();
        (found.key_id.clone(), found.secret_key.clone(), found.token.clone())
    }

    #[tokio::test]
    async fn the_default_profile_gives_what_the_environment_lacks() {
        let home = home();
        let all = given(&home, &[]).unwrap();
        assert_eq!(credential(&all).await, ("DEFAULT".to_string(), "s/e+c=r#et".to_string(), None));
        assert_eq!(found(&all, "AWS_REGION").as_deref(), Some("eu-west-1"));
        let own =
            given(&home, &[("AWS_ACCESS_KEY_ID", "OWN"), ("AWS_SECRET_ACCESS_KEY", "x"), ("AWS_DEFAULT_REGION", "r")]);
        let own = own.unwrap();
        assert!(own.credentials.is_none() && own.variables.is_empty(), "the environment goes first");
        assert!(given(&home, &[("AWS_ACCESS_KEY_ID", "")]).unwrap().credentials.is_some(), "an empty variable is none");
    }

    #[tokio::test]
    async fn a_named_profile_has_its_keys_token_region_and_endpoint() {
        let home = home();
        let lab = given(&home, &[("AWS_PROFILE", "lab")]).unwrap();
        assert_eq!(credential(&lab).await, ("LAB".to_string(), "secret".to_string(), Some("token==".to_string())));
        assert_eq!(found(&lab, "AWS_REGION").as_deref(), Some("eu-north-1"));
        assert_eq!(found(&lab, "AWS_ENDPOINT_URL").as_deref(), Some("http://127.0.0.1:3900"));
        let elsewhere = given(&home, &[("AWS_PROFILE", "lab"), ("AWS_ENDPOINT_URL", "http://own")]).unwrap();
        assert_eq!(found(&elsewhere, "AWS_ENDPOINT_URL"), None);
    }

    #[test]
    fn a_role_by_web_identity_is_handed_on_and_other_ways_are_refused_by_name() {
        let home = home();
        let role = given(&home, &[("AWS_PROFILE", "role")]).unwrap();
        assert_eq!(found(&role, "AWS_ROLE_ARN").as_deref(), Some("arn:aws:iam::1:role/lab"));
        assert_eq!(found(&role, "AWS_WEB_IDENTITY_TOKEN_FILE").as_deref(), Some("/token"));
        let refused = given(&home, &[("AWS_PROFILE", "process")]).unwrap_err();
        assert!(refused.contains("`credential_process`") && refused.contains("export-credentials"), "{refused}");
        let missing = given(&home, &[("AWS_PROFILE", "nobody")]).unwrap_err();
        assert!(missing.contains("`nobody`") && missing.contains(".aws/credentials"), "{missing}");
    }

    #[tokio::test]
    async fn keys_that_are_written_anew_are_taken_after_a_while() {
        let home = home();
        let lab = given(&home, &[("AWS_PROFILE", "lab")]).unwrap();
        std::fs::write(home.path().join(".aws/credentials"), CREDENTIALS.replace("token==", "fresh")).unwrap();
        assert_eq!(credential(&lab).await.2.as_deref(), Some("token=="));
        let provider = lab.credentials.as_ref().unwrap();
        provider.known.lock().unwrap().1 -= READ_AGAIN;
        assert_eq!(credential(&lab).await.2.as_deref(), Some("fresh"));
        std::fs::write(home.path().join(".aws/credentials"), "[oth").unwrap();
        provider.known.lock().unwrap().1 -= READ_AGAIN;
        assert_eq!(credential(&lab).await.2.as_deref(), Some("fresh"));
    }

    #[test]
    fn where_there_are_no_files_nothing_is_added() {
        let home = Scratch::new();
        let none = given(&home, &[]).unwrap();
        assert!(none.variables.is_empty() && none.credentials.is_none());
    }
}
