//! `.env.example`, written from the table.

use super::{
    service::Service,
    settings::{CONFIG_ENV, Fallback, SETTINGS, Setting},
};

const HEAD: &str = "\
# ORFEAS: every setting, each with its default. Copy to .env and uncomment what you change.
#
# A setting can stand in a TOML file under its key (--config FILE, or ORFEAS_CONFIG), in the environment, or in a flag;
# flags win over the environment, the environment over the file. The key is the variable's name in small letters without
# ORFEAS_, and the flag is the key with dashes: ORFEAS_NATS_URL is nats_url and --nats-url. One file can serve all
# services. An empty value is the same as none. What is misspelt or out of range is reported, all at once, at the start.
#
# Written from crates/service/src/config/settings.rs; a test holds it to that table.
";

/// The text of `.env.example`.
#[must_use]
pub fn env_example() -> String {
    let mut text = HEAD.to_owned();
    text.push_str(&format!("\n# Path of a TOML file with settings.\n#{CONFIG_ENV}=\n"));
    let mut group = "";
    for setting in SETTINGS {
        if setting.group != group {
            group = setting.group;
            text.push_str(&format!("\n# ---- {group} ----\n"));
        }
        text.push_str(&entry(setting));
    }
    text
}

fn entry(setting: &Setting) -> String {
    let mut text = String::from("\n");
    let readers = match setting.services {
        services if services.len() == Service::ALL.len() => String::new(),
        services => {
            let names: Vec<_> = services.iter().map(|service| service.name()).collect();
            format!(" (read by {})", names.join(", "))
        }
    };
    let secret = if setting.secret { " Secret: never printed." } else { "" };
    let allowed = setting.kind.allowed();
    for line in wrap(&format!("{}{secret}{readers}", setting.help)).iter().chain(&wrap(&format!("Allowed: {allowed}")))
    {
        text.push_str(&format!("# {line}\n"));
    }
    if let Fallback::Each(each) = setting.default {
        let each: Vec<_> = each.iter().map(|(service, default)| format!("{service} {default}")).collect();
        for line in wrap(&format!("Default: {}", each.join(", "))) {
            text.push_str(&format!("# {line}\n"));
        }
    }
    let default = if let Fallback::Same(default) = setting.default { default } else { "" };
    text.push_str(&format!("#{}={default}\n", setting.env));
    text
}

/// Breaks a text into lines of at most 118 characters.
fn wrap(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= 118 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes the file when asked to (`ORFEAS_WRITE=1` would be refused as an unknown variable by a service, so this
    /// one has no prefix).
    #[test]
    fn the_committed_file_is_the_one_that_the_table_gives() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.env.example");
        if std::env::var_os("UPDATE_ENV_EXAMPLE").is_some() {
            std::fs::write(path, env_example()).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == env_example(),
            ".env.example is not what the table gives; write it anew: UPDATE_ENV_EXAMPLE=1 cargo test -p orfeas-service"
        );
    }
}
