//! `orfeas healthcheck` and `orfeas log-level`: a service's own listener, asked.

use clap::Args;
use orfeas_service::http::{self, Answer, HttpUrl};

use crate::connect::block_on;
use crate::exit::{Ended, Exit, say};

/// Ask a service whether it takes work
#[derive(Args)]
pub struct Healthcheck {
    /// Its readiness page, http://127.0.0.1:9101/readyz say
    url: HttpUrl,
}

impl Healthcheck {
    pub fn run(self) -> Ended {
        block_on(async move { answered(http::get(&self.url).await?) })
    }
}

/// Show or change what a running service logs, until it ends
#[derive(Args)]
pub struct LogLevel {
    /// The service's listener, http://127.0.0.1:9101 say
    url: HttpUrl,
    /// The new level or directives, info,orfeas_bus=debug say; without them the present ones are shown
    directives: Option<String>,
}

impl LogLevel {
    pub fn run(self) -> Ended {
        let page = self.url.at("/loglevel");
        block_on(async move {
            answered(match &self.directives {
                Some(directives) => http::send("PUT", &page, "text/plain", directives.as_bytes()).await?,
                None => http::get(&page).await?,
            })
        })
    }
}

fn answered(Answer { status, body }: Answer) -> Ended {
    let body = body.trim_end();
    if status == 200 {
        say(body);
        return Ok(());
    }
    Err(Exit::other(if body.is_empty() { format!("the answer has status {status}") } else { body.to_owned() }))
}

impl From<http::HttpError> for Exit {
    fn from(error: http::HttpError) -> Self {
        Self::other(error)
    }
}
