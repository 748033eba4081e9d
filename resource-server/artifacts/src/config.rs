//! Settings: one optional TOML file, overlaid by the environment. Every setting has a safe default; a key that is not
//! known stops the start, and the message names the nearest one that is.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use doorward_resource_server::FeedLag;
use doorward_shared::{issuer::Issuer, resource::ResourceUri};
use toml::Value;

mod entry;

pub use self::entry::ConfigError;
use self::entry::Entry;
use crate::plans::{MAX_LINK_DAYS, Plan, Plans};

/// The settings, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses to listen on.
    pub listen: Vec<SocketAddr>,
    /// What this server is, as registered with the authorization server.
    pub resource: ResourceUri,
    /// The authorization server.
    pub issuer: Issuer,
    /// Where the authorization server is really reached, when that is another place than its name says.
    pub issuer_address: Option<String>,
    /// Where rows and bytes are kept.
    pub data_dir: PathBuf,
    /// Where this server's own credentials are, if there are any.
    pub credentials_file: PathBuf,
    /// How long the revocation feed may be silent, in whole seconds.
    pub max_feed_lag: Duration,
    /// What happens then.
    pub on_feed_lag: FeedLag,
    /// Further host names that requests may name, such as the internal one of a reverse proxy.
    pub allowed_hosts: Vec<String>,
    /// Web origins whose pages may call; `None` leaves it to the kit.
    pub allowed_origins: Option<Vec<String>>,
    /// How the log is written.
    pub log_format: LogFormat,
    /// What is logged.
    pub log_filter: String,
    /// The limits.
    pub plans: Plans,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// The settings of this process.
    pub fn of_process(file: Option<&Path>) -> Result<Self, ConfigError> {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
        let environment = std::env::vars();
        Self::load(file, environment)
    }

    /// The settings of a file and an environment.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        Draft::default().read(entry::collect(file, environment)?)?.check()
    }

    /// The settings in force, as a file would say them.
    pub fn describe(&self) -> String {
        let text = |value: &str| Value::String(value.to_owned()).to_string();
        let list = |values: &[String]| {
            format!("[{}]", values.iter().map(|value| text(value)).collect::<Vec<_>>().join(", "))
        };
        let listen: Vec<_> = self.listen.iter().map(ToString::to_string).collect();
        let mut lines = vec![
            format!("listen = {}", list(&listen)),
            format!("resource = {}", text(self.resource.as_str())),
            format!("issuer = {}", text(self.issuer.as_str())),
            format!("data_dir = {}", text(&self.data_dir.to_string_lossy())),
            format!("credentials_file = {}", text(&self.credentials_file.to_string_lossy())),
            format!("max_feed_lag = \"{}s\"", self.max_feed_lag.as_secs()),
            format!("on_feed_lag = {}", text(feed_lag_word(self.on_feed_lag))),
            format!("allowed_hosts = {}", list(&self.allowed_hosts)),
            format!("default_plan = {}", text(self.plans.default_name())),
            format!("log.format = {}", text(self.log_format.as_str())),
            format!("log.filter = {}", text(&self.log_filter)),
        ];
        lines.extend(
            self.issuer_address.as_deref().map(|address| format!("issuer_address = {}", text(address))),
        );
        lines.extend(
            self.allowed_origins.as_deref().map(|origins| format!("allowed_origins = {}", list(origins))),
        );
        for plan in self.plans.iter() {
            let name = text(&plan.name);
            lines.push(format!("plans.{name}.storage_bytes = {}", plan.storage_bytes));
            lines.push(format!("plans.{name}.requests_per_month = {}", plan.requests_per_month));
            lines.push(format!("plans.{name}.upload_bytes = {}", plan.upload_bytes));
            lines.push(format!("plans.{name}.links = {}", plan.links));
            lines.push(format!("plans.{name}.link_days = {}", plan.link_days));
            lines.extend(plan.retention_days.map(|days| format!("plans.{name}.retention_days = {days}")));
        }
        let organizations = self.plans.organizations().iter();
        lines.extend(
            organizations.map(|(name, plan)| format!("organizations.{} = {}", text(name), text(plan))),
        );
        lines.join("\n") + "\n"
    }
}

impl LogFormat {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Pretty => "pretty",
            Self::Json => "json",
        }
    }
}

/// The settings while they are read.
struct Draft {
    listen: Vec<SocketAddr>,
    resource: ResourceUri,
    issuer: Issuer,
    issuer_address: Option<String>,
    data_dir: PathBuf,
    credentials_file: PathBuf,
    max_feed_lag: Duration,
    on_feed_lag: FeedLag,
    allowed_hosts: Vec<String>,
    allowed_origins: Option<Vec<String>>,
    log_format: LogFormat,
    log_filter: String,
    default_plan: String,
    plans: BTreeMap<String, Plan>,
    organizations: BTreeMap<String, String>,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            listen: vec![(Ipv4Addr::LOCALHOST, 9100).into(), (Ipv6Addr::LOCALHOST, 9100).into()],
            resource: ResourceUri::parse("http://localhost:9100/mcp").expect("the default is a resource"),
            issuer: Issuer::parse("http://localhost:9000").expect("the default is an issuer"),
            issuer_address: None,
            data_dir: "./data/artifacts".into(),
            credentials_file: "./data/artifacts.credentials".into(),
            max_feed_lag: Duration::from_mins(1),
            on_feed_lag: FeedLag::Serve,
            allowed_hosts: Vec::new(),
            allowed_origins: None,
            log_format: LogFormat::Pretty,
            log_filter: "info".to_owned(),
            default_plan: "pro".to_owned(),
            plans: [Plan::free(), Plan::pro()].map(|plan| (plan.name.clone(), plan)).into(),
            organizations: BTreeMap::new(),
        }
    }
}

impl Draft {
    fn read(mut self, entries: Vec<Entry>) -> Result<Self, ConfigError> {
        for entry in entries {
            let path: Vec<_> = entry.path.iter().map(String::as_str).collect();
            match path[..] {
                ["listen"] => self.listen = entry.addresses()?,
                ["resource"] => self.resource = entry.parsed(ResourceUri::parse)?,
                ["issuer"] => self.issuer = entry.parsed(Issuer::parse)?,
                ["issuer_address"] => self.issuer_address = Some(entry.text()?),
                ["data_dir"] => self.data_dir = entry.text()?.into(),
                ["credentials_file"] => self.credentials_file = entry.text()?.into(),
                ["max_feed_lag"] => self.max_feed_lag = entry.parsed(seconds)?,
                ["on_feed_lag"] => self.on_feed_lag = entry.parsed(feed_lag)?,
                ["allowed_hosts"] => self.allowed_hosts = entry.list()?,
                ["allowed_origins"] => self.allowed_origins = Some(entry.list()?),
                ["log", "format"] => self.log_format = entry.parsed(log_format)?,
                ["log", "filter"] => {
                    self.log_filter = entry.parsed(|text| {
                        text.parse::<tracing_subscriber::EnvFilter>().map(|_| text.to_owned())
                    })?;
                }
                ["default_plan"] => self.default_plan = entry.text()?,
                ["organizations"] => self.organizations = entry.parsed(organizations)?,
                ["organizations", name] => {
                    let plan = entry.text()?;
                    self.organizations.insert(name.to_owned(), plan);
                }
                ["plans", name, key] => {
                    // A new plan begins as the large one; what it limits is written down.
                    let plan = || Plan { name: name.to_owned(), ..Plan::pro() };
                    let plan = self.plans.entry(name.to_owned()).or_insert_with(plan);
                    let slot = match key {
                        "storage_bytes" => &mut plan.storage_bytes,
                        "requests_per_month" => &mut plan.requests_per_month,
                        "upload_bytes" => &mut plan.upload_bytes,
                        "links" => &mut plan.links,
                        "link_days" => &mut plan.link_days,
                        "retention_days" => plan.retention_days.get_or_insert(0),
                        _ => return Err(entry.unknown()),
                    };
                    let (least, most) = match key {
                        "link_days" => (1, MAX_LINK_DAYS),
                        "retention_days" => (1, 3660),
                        _ => (0, i64::MAX),
                    };
                    *slot = entry.number(least, most)?;
                }
                _ => return Err(entry.unknown()),
            }
        }
        Ok(self)
    }

    fn check(self) -> Result<Config, ConfigError> {
        let segment = self.resource.path().split('/').nth(1).unwrap_or_default();
        if matches!(segment, "" | "uploads" | "downloads" | "links" | "healthz" | "readyz" | ".well-known")
            || !self
                .resource
                .path()
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"/._~-".contains(&byte))
            || self.resource.as_str().contains('?')
        {
            return Err(ConfigError(format!(
                "resource: {} cannot be served; choose a plain path of its own, such as /mcp",
                self.resource
            )));
        }
        let plans = Plans::new(self.plans.into_values(), &self.default_plan, self.organizations)
            .map_err(|error| ConfigError(error.to_string()))?;
        Ok(Config {
            listen: self.listen,
            resource: self.resource,
            issuer: self.issuer,
            issuer_address: self.issuer_address,
            data_dir: self.data_dir,
            credentials_file: self.credentials_file,
            max_feed_lag: self.max_feed_lag,
            on_feed_lag: self.on_feed_lag,
            allowed_hosts: self.allowed_hosts,
            allowed_origins: self.allowed_origins,
            log_format: self.log_format,
            log_filter: self.log_filter,
            plans,
        })
    }
}

fn log_format(text: &str) -> Result<LogFormat, &'static str> {
    match text {
        "pretty" => Ok(LogFormat::Pretty),
        "json" => Ok(LogFormat::Json),
        _ => Err("choose pretty or json"),
    }
}

fn feed_lag(text: &str) -> Result<FeedLag, &'static str> {
    match text {
        "serve" => Ok(FeedLag::Serve),
        "refuse" => Ok(FeedLag::Refuse),
        _ => Err("choose serve or refuse"),
    }
}

const fn feed_lag_word(lag: FeedLag) -> &'static str {
    match lag {
        FeedLag::Serve => "serve",
        FeedLag::Refuse => "refuse",
    }
}

/// A length of time: `60s`, `5m`, `1h`.
fn seconds(text: &str) -> Result<Duration, &'static str> {
    const FORM: &str = "write a whole number and s, m or h, such as 60s";
    let unit = match text.bytes().last() {
        Some(b's') => 1,
        Some(b'm') => 60,
        Some(b'h') => 3600,
        _ => return Err(FORM),
    };
    let number = text[..text.len() - 1].parse::<u32>().ok().filter(|number| *number > 0);
    number.map(|number| Duration::from_secs(u64::from(number) * unit)).ok_or(FORM)
}

/// `acme=free,other=pro`: the form of the environment, whose names cannot hold what an organization is called.
fn organizations(text: &str) -> Result<BTreeMap<String, String>, &'static str> {
    let pair = |pair: &str| {
        pair.split_once('=').map(|(name, plan)| (name.trim().to_owned(), plan.trim().to_owned()))
    };
    text.split(',')
        .map(pair)
        .collect::<Option<_>>()
        .ok_or("write organization=plan, with commas between several")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::scratch::Scratch;

    fn environment(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::load(None, pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    fn file(text: &str) -> Result<Config, String> {
        let scratch = Scratch::new();
        let path = scratch.path().join("artifacts.toml");
        fs::write(&path, text).unwrap();
        Config::load(Some(&path), [])
            .map_err(|error| error.to_string().replace(&*path.to_string_lossy(), "FILE"))
    }

    #[test]
    fn without_any_setting_the_documented_defaults_hold() {
        let config = environment(&[]).unwrap();
        let listen: Vec<_> = config.listen.iter().map(ToString::to_string).collect();
        assert_eq!(listen, ["127.0.0.1:9100", "[::1]:9100"]);
        assert_eq!(config.resource.as_str(), "http://localhost:9100/mcp");
        assert_eq!(config.issuer.as_str(), "http://localhost:9000");
        assert_eq!(config.data_dir, Path::new("./data/artifacts"));
        assert_eq!(config.credentials_file, Path::new("./data/artifacts.credentials"));
        assert_eq!(config.plans.of("any").name, "pro");
    }

    #[test]
    fn the_environment_overlays_the_file() {
        let scratch = Scratch::new();
        let path = scratch.path().join("artifacts.toml");
        fs::write(&path, "issuer = \"https://file.test\"\ndata_dir = \"/file\"\n[plans.free]\nlinks = 3\n")
            .unwrap();
        let overlay = [
            ("DOORWARD_ARTIFACTS__ISSUER", "https://env.test"),
            ("DOORWARD_ARTIFACTS__PLANS__FREE__STORAGE_BYTES", "1_000"),
            ("DOORWARD_ARTIFACTS__ORGANIZATIONS", "acme=free, b=pro"),
            ("PATH", "/bin"),
        ];
        let overlay = overlay.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let config = Config::load(Some(&path), overlay).unwrap();
        assert_eq!(config.issuer.as_str(), "https://env.test");
        assert_eq!(config.data_dir, Path::new("/file"));
        assert_eq!((config.plans.of("acme").links, config.plans.of("acme").storage_bytes), (3, 1000));
    }

    #[test]
    fn listen_takes_several_addresses_and_localhost_is_two() {
        let config = environment(&[("DOORWARD_ARTIFACTS__LISTEN", "localhost:1, 0.0.0.0:2")]).unwrap();
        let listen: Vec<_> = config.listen.iter().map(ToString::to_string).collect();
        assert_eq!(listen, ["127.0.0.1:1", "[::1]:1", "0.0.0.0:2"]);
        assert_eq!(file("listen = [\"127.0.0.1:3\", \"[::]:4\"]").unwrap().listen.len(), 2);
    }

    #[test]
    fn an_unknown_key_stops_the_start_and_the_nearest_one_is_named() {
        let error = environment(&[("DOORWARD_ARTIFACTS__DATADIR", "x")]).unwrap_err().to_string();
        assert_eq!(
            error,
            "DOORWARD_ARTIFACTS__DATADIR in the environment is not a setting; did you mean DOORWARD_ARTIFACTS__DATA_DIR?"
        );
        let error = environment(&[("DOORWARD_ARTIFACTS_ISSUER", "https://as.test")]).unwrap_err().to_string();
        assert!(error.ends_with("did you mean DOORWARD_ARTIFACTS__ISSUER?"), "{error}");
        assert_eq!(
            file("isuer = \"x\"").unwrap_err(),
            "isuer in FILE is not a setting; did you mean issuer?"
        );
        let error = file("[plans.free]\nstorage = 1").unwrap_err();
        assert_eq!(error, "plans.free.storage in FILE is not a setting; did you mean plans.*.storage_bytes?");
        assert!(environment(&[("DOORWARD_ARTIFACTS__PLANS", "x")]).is_err());
    }

    #[test]
    fn a_value_that_cannot_be_used_says_which_and_why() {
        for (name, value, part) in [
            ("DOORWARD_ARTIFACTS__LISTEN", "9100", "no address with a port"),
            ("DOORWARD_ARTIFACTS__LISTEN", "", "is empty"),
            ("DOORWARD_ARTIFACTS__ISSUER", "http://localhost:9000/", "without a slash at its end"),
            ("DOORWARD_ARTIFACTS__RESOURCE", "mcp", "absolute http or https URL"),
            ("DOORWARD_ARTIFACTS__RESOURCE", "http://localhost:9100/uploads", "cannot be served"),
            ("DOORWARD_ARTIFACTS__RESOURCE", "http://localhost:9100", "cannot be served"),
            ("DOORWARD_ARTIFACTS__LOG__FORMAT", "xml", "choose pretty or json"),
            ("DOORWARD_ARTIFACTS__MAX_FEED_LAG", "60", "such as 60s"),
            ("DOORWARD_ARTIFACTS__MAX_FEED_LAG", "0s", "such as 60s"),
            ("DOORWARD_ARTIFACTS__MAX_FEED_LAG", "-1m", "such as 60s"),
            ("DOORWARD_ARTIFACTS__MAX_FEED_LAG", "1\u{e9}", "such as 60s"),
            ("DOORWARD_ARTIFACTS__ON_FEED_LAG", "stop", "choose serve or refuse"),
            ("DOORWARD_ARTIFACTS__DEFAULT_PLAN", "gold", "there is no plan \"gold\""),
            ("DOORWARD_ARTIFACTS__PLANS__PRO__LINK_DAYS", "91", "from 1 to 90"),
            ("DOORWARD_ARTIFACTS__PLANS__PRO__LINKS", "-1", "0 or more"),
        ] {
            let error = environment(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(part), "{name}={value}: {error}");
        }
    }

    #[test]
    fn what_is_described_reads_back_as_the_same_settings() {
        let text = "default_plan = \"team\"\nmax_feed_lag = \"2m\"\non_feed_lag = \"refuse\"\nissuer_address = \"http://as:1\"\n[plans.team]\nlinks = 7\nretention_days = 9\n[organizations]\nAcme = \"free\"\n";
        let first = file(text).unwrap().describe();
        assert_eq!(file(&first).unwrap().describe(), first);
        for line in [
            "plans.\"team\".retention_days = 9",
            "max_feed_lag = \"120s\"",
            "on_feed_lag = \"refuse\"",
            "issuer_address = \"http://as:1\"",
        ] {
            assert!(first.contains(line), "{first}");
        }
    }
}
