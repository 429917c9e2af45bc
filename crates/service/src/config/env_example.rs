//! `.env.example`, written from the table.

use super::{
    deployment::DEPLOYMENT,
    service::Service,
    settings::{CONFIG_ENV, Fallback, MODELS_ENV, SETTINGS, Setting},
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
    text.push_str(&format!(
        "\n# ---- `orfeas model` alone ----\n\n# Folder of models. Unset: orfeas/models in the user's data folder.\n#{MODELS_ENV}=\n"
    ));
    text.push_str("\n# ---- docker-compose.yml alone ----\n");
    for (variable, default, help) in DEPLOYMENT {
        text.push('\n');
        for line in wrap(help) {
            text.push_str(&format!("# {line}\n"));
        }
        text.push_str(&format!("#{variable}={default}\n"));
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

    /// `${NAME` and `${NAME:-default}` in a text.
    fn variables(text: &str) -> Vec<(&str, Option<&str>)> {
        let found = text.split("${").skip(1).filter_map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_uppercase() && c != '_')?;
            // One that has a variable in it (`${PWD}`) ends where that begins, and is nothing here.
            let default = rest[end..].strip_prefix(":-");
            let default = default.map(|rest| rest.find('}').map_or("", |at| &rest[..at]));
            // `${NAME:+…}` only asks whether it is set.
            let default = if rest[end..].starts_with(":+") { Some("") } else { default };
            Some((&rest[..end], default))
        });
        found.collect()
    }

    #[test]
    fn compose_reads_what_is_documented_with_the_documented_defaults_and_nothing_else() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../");
        let overlays = ["infer", "cluster", "tls", "alertmanager"].map(|name| format!("deploy/compose.{name}.yml"));
        let files = std::iter::once("docker-compose.yml".to_owned()).chain(overlays);
        let text: String = files.map(|file| std::fs::read_to_string(format!("{root}{file}")).unwrap()).collect();
        let read = variables(&text);
        for (name, default) in read.iter().filter(|(name, _)| *name != "PWD") {
            let documented = DEPLOYMENT.iter().find(|(variable, ..)| variable == name);
            let (_, documented, _) = documented.unwrap_or_else(|| panic!("{name} is not documented"));
            let default = default.unwrap_or_else(|| panic!("{name} has no default in docker-compose.yml"));
            // Compose wants whole paths for the folders of volumes, so their defaults begin with the working folder.
            assert!(default.is_empty() || default == *documented, "{name}: {default}, documented as {documented}");
        }
        // The one that Compose itself reads.
        for (variable, ..) in DEPLOYMENT.iter().filter(|(variable, ..)| *variable != "COMPOSE_FILE") {
            assert!(read.iter().any(|(name, _)| name == variable), "{variable} is read by nobody");
        }
    }

    /// A service refuses a variable of ours that it does not know, so a slip in a manifest keeps it from starting.
    #[test]
    fn what_is_deployed_and_documented_names_only_settings_that_there_are() {
        let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        let mut folders: Vec<_> = ["deploy", "docs", "nats"].map(|name| root.join(name)).to_vec();
        let mut files: Vec<_> =
            ["docker-compose.yml", "README.md", "ARCHITECTURE.md"].map(|name| root.join(name)).to_vec();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        let mut named = 0;
        for file in files {
            let Ok(text) = std::fs::read_to_string(&file) else { continue };
            for word in text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
                // `ORFEAS_*_MAX_AGE` stands for several; ORFEAS_REPOSITORY is deploy_linux.sh's own, for its tests.
                let ours = (word.starts_with("ORFEAS_") && !word.ends_with('_')) || word.starts_with("HUNYUAN3D_");
                if ours && ![CONFIG_ENV, MODELS_ENV, "ORFEAS_REPOSITORY"].contains(&word) {
                    let known = SETTINGS.iter().any(|setting| setting.env == word);
                    assert!(known, "{}: there is no setting {word}", file.display());
                    named += 1;
                }
            }
        }
        assert!(named > 50, "{named}");
    }

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
            ".env.example is not what the table gives; write it anew: UPDATE_ENV_EXAMPLE=1 cargo test --release --workspace --lib"
        );
    }
}
