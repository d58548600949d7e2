//! Which of Amazon's registries an event is of: each account has one in each region, and one bus brings
//! the events of all of them. An event names a repository by its path alone, so one of another registry
//! would be taken for one of the source's.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use super::context::Context;
use super::field::Field;
use super::{Decoded, clip};

/// The registry that an event is of, as far as the event says it.
pub(super) struct Told<'a> {
    pub(super) account: Field<'a>,
    pub(super) region: Field<'a>,
}

/// How many registries are told of that a source is not: beyond them nobody reads it.
const MOST_TOLD: usize = 64;

/// The registries whose events were ignored, each with that of the source.
static TOLD: Mutex<BTreeSet<(String, String)>> = Mutex::new(BTreeSet::new());

/// What becomes of an event of another registry than the source is by its settings. `None` if it is of
/// this one, or nothing tells: the event, or a registry by another name than Amazon's own.
pub(super) fn elsewhere(context: &Context<'_>, told: &Told<'_>) -> Option<Decoded> {
    let settings = context.settings();
    let host = settings
        .registry
        .as_ref()
        .or(settings.default_registry.as_ref())?;
    let (account, region) = account_and_region(host)?;
    let is_other = |told: &Field<'_>, own: &str| told.text().is_some_and(|told| told != own);
    if !is_other(&told.account, account) && !is_other(&told.region, region) {
        return None;
    }
    let [of_account, of_region] =
        [&told.account, &told.region].map(|one| clip(one.text().unwrap_or("not told")));
    let other = format!("account {of_account}, region {of_region}");
    let reason =
        format!("an event of another registry ({other}) than the source's, which is {host}");
    tell_once(host, &other, &reason);
    Some(context.ignored(reason))
}

/// The account and the region in the name of one of Amazon's registries:
/// `ACCOUNT.dkr.ecr.REGION.amazonaws.com`, in China with `.cn`, `dkr.ecr-fips`, and for both versions of
/// IP `ACCOUNT.dkr-ecr.REGION.on.aws`.
fn account_and_region(host: &str) -> Option<(&str, &str)> {
    let (account, rest) = host.split_once('.')?;
    let services = ["dkr.ecr.", "dkr.ecr-fips.", "dkr-ecr-fips.", "dkr-ecr."];
    let rest = services
        .into_iter()
        .find_map(|service| rest.strip_prefix(service))?;
    let (region, domain) = rest.split_once('.')?;
    let is_amazon = [
        "amazonaws.com",
        "amazonaws.com.cn",
        "on.aws",
        "on.amazonwebservices.com.cn",
    ]
    .contains(&domain);
    let is_account = !account.is_empty() && account.bytes().all(|byte| byte.is_ascii_digit());
    (is_amazon && is_account).then_some((account, region))
}

/// Tells an operator of a bus that brings events of another registry, not of each of the events.
fn tell_once(host: &str, other: &str, reason: &str) {
    let mut all = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    if all.len() < MOST_TOLD && all.insert((host.to_owned(), other.to_owned())) {
        tracing::warn!(
            reason,
            "ignored, and so are all events of that registry: if they are to count, send them to a source of their own with `registry` in its settings"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_amazons_registries_tell_account_and_region() {
        let both = Some(("111111111111", "eu-west-1"));
        for (host, expected) in [
            ("111111111111.dkr.ecr.eu-west-1.amazonaws.com", both),
            ("111111111111.dkr.ecr-fips.eu-west-1.amazonaws.com", both),
            ("111111111111.dkr-ecr-fips.eu-west-1.on.aws", both),
            ("111111111111.dkr-ecr.eu-west-1.on.aws", both),
            (
                "111111111111.dkr.ecr.cn-north-1.amazonaws.com.cn",
                Some(("111111111111", "cn-north-1")),
            ),
            ("public.ecr.aws", None),
            ("images.example", None),
            ("team.dkr.ecr.eu-west-1.amazonaws.com", None),
            ("111111111111.dkr.ecr.eu-west-1.amazonaws.com.example", None),
        ] {
            assert_eq!(account_and_region(host), expected, "{host}");
        }
    }
}
