//! OpenVEX documents: `not_affected` and `fixed` become overrides, with status and justification in
//! the reason; `affected` and `under_investigation` override nothing.
//!
//! A product that is an image (`pkg:oci`, `pkg:docker`) limits the override to its digest and
//! repository, a subcomponent to its package. A product that is a package limits it to that package in
//! the version that it names, in every image. What an override cannot be limited to is refused: a tag,
//! which moves, a package within another, and outside of an image a package of one distribution or a
//! bare name in any version, which others have too.

use std::rc::Rc;

use weir_schema::{Digest, OPENVEX_WAIVING, Timestamp};

use super::context::Context;
use super::field::Field;
use super::problem::Problem;
use super::purl;
use super::vex::{self, Scope, Statement, Verdict};
use super::{Decoded, clip, json};

/// The words for why a product is not affected.
const JUSTIFICATIONS: [&str; 5] = [
    "component_not_present",
    "vulnerable_code_not_present",
    "vulnerable_code_not_in_execute_path",
    "vulnerable_code_cannot_be_controlled_by_adversary",
    "inline_mitigations_already_exist",
];

/// Decodes a document.
pub(super) fn decode(context: &Context<'_>) -> Result<Vec<Decoded>, Problem> {
    let body = json::value(context.body())?;
    // The header says in which image the statements hold, as it says of reports what they are of.
    let subject = context.subject()?;
    document(context, &Field::root(&body), subject.as_slice())
}

/// Decodes a document that may be part of a payload. What is attested of `subjects` holds in no image
/// but these.
pub(super) fn document(
    context: &Context<'_>,
    root: &Field<'_>,
    subjects: &[Digest],
) -> Result<Vec<Decoded>, Problem> {
    let list = root.get("statements");
    if !list.value().is_array() {
        return Err(list.missing());
    }
    let revises = root
        .get("version")
        .number()
        .is_some_and(|version| version > 1.0);
    let (mut statements, mut rejected) = (Vec::new(), Vec::new());
    for statement in list.each()? {
        let status = check_status(&statement.get("status"));
        rejected.extend(status.err().map(|problem| context.rejected(&problem)));
        match self::statements(context, root, &statement, subjects, revises) {
            Ok(some) => statements.extend(some),
            Err(problem) => rejected.push(context.rejected(&problem)),
        }
        super::at_most(statements.len() + rejected.len())?;
    }
    if revises && list.items().next().is_none() {
        return Err(list.problem(
            "a later version without statements: what an earlier one granted is not known here; revoke it (`weir overrides`)",
        ));
    }
    let time = root.first(&["last_updated", "timestamp"]).time();
    let mut decoded = vex::events(context, &statements, time, revises);
    decoded.extend(rejected);
    Ok(decoded)
}

/// A statement once for each place it is about.
fn statements(
    context: &Context<'_>,
    root: &Field<'_>,
    statement: &Field<'_>,
    subjects: &[Digest],
    revises: bool,
) -> Result<Vec<Statement>, Problem> {
    let (vulnerability, aliases) = names(&statement.get("vulnerability"))?;
    let status = statement.get("status");
    let word = status.text().unwrap_or_default();
    let waives = OPENVEX_WAIVING.contains(&word);
    if word == "not_affected" {
        check_reason(statement, &status)?;
    }
    let is_known = check_status(&status).is_ok();
    let verdict = |place: Option<&Place>| {
        if waives {
            let about = place.map_or("", |place| &place.about);
            return Verdict::DoesNotCount(reason(statement, word, about));
        }
        // Of a word that is not known it is not known either what it is said of.
        let reach = place.filter(|_| is_known).map(|place| place.reach.clone());
        match is_known || revises {
            true => Verdict::Counts(reach.unwrap_or_default()),
            false => Verdict::Listed(reach.unwrap_or_default()),
        }
    };
    let made = made(root, statement, waives);
    let places = places(context, statement, subjects, waives).into_iter();
    let all = places.map(|place| Statement {
        document: root.get("@id").text().unwrap_or_default().to_owned(),
        vulnerability: vulnerability.clone(),
        aliases: Rc::clone(&aliases),
        made,
        verdict: verdict(place.as_ref().ok()),
        scope: place.map(|place| place.scope),
        actor: root.get("author").text().unwrap_or("unknown").to_owned(),
        status: word.to_owned(),
    });
    Ok(all.collect())
}

/// When a statement was made. One without a time of its own is of the document's (OpenVEX 0.2,
/// "Inheritance Flow"). Others order by that alone: what waives is as old as it may be, what does not as
/// new.
fn made(root: &Field<'_>, statement: &Field<'_>, waives: bool) -> Option<Timestamp> {
    let own = statement.get("timestamp");
    // One that cannot be read is not the document's: it is not known.
    let made = match own.is_absent() {
        true => root.get("timestamp").time(),
        false => own.time(),
    };
    let updated = statement.get("last_updated").time();
    match waives {
        true => made.or(updated),
        false => updated.or(made),
    }
}

/// The name of a vulnerability, and its others.
fn names(vulnerability: &Field<'_>) -> Result<(String, Rc<[String]>), Problem> {
    let name = match vulnerability.text() {
        Some(name) => name,
        None => vulnerability.first(&["name", "@id"]).required()?,
    };
    let aliases = vulnerability.get("aliases");
    let aliases = aliases.items().filter_map(|alias| alias.text());
    let others = aliases.chain(vulnerability.get("@id").text());
    Ok((
        last_part(name).to_owned(),
        others.map(|name| last_part(name).to_owned()).collect(),
    ))
}

/// An IRI ends with the name: `https://nvd.nist.gov/vuln/detail/CVE-2024-1`.
fn last_part(name: &str) -> &str {
    let path = name.split_once("://").map(|(_, path)| path);
    let last = path.and_then(|path| path.trim_end_matches('/').rsplit('/').next());
    last.unwrap_or(name)
}

/// A place that a statement is about.
struct Place {
    scope: Scope,
    /// All that may be meant, where that is more than `scope`.
    reach: Scope,
    /// The words that the document has for it.
    about: String,
}

/// The places that a statement is about, one by one; what no override says hides no other.
fn places(
    context: &Context<'_>,
    statement: &Field<'_>,
    subjects: &[Digest],
    waives: bool,
) -> Vec<Result<Place, Problem>> {
    let products = match statement.get("products").each() {
        Ok(products) if products.is_empty() => {
            return vec![Err(statement.get("products").missing())];
        }
        Ok(products) => products,
        Err(problem) => return vec![Err(problem)],
    };
    let parts = statement.get("subcomponents");
    let mut places = Vec::new();
    for product in &products {
        let of_product = of_product(context, product, &parts, subjects, waives);
        for place in of_product.unwrap_or_else(|problem| vec![Err(problem)]) {
            match place {
                Ok(place) => places.extend(within(place, subjects).map(Ok)),
                Err(problem) => places.push(Err(problem)),
            }
        }
        if let Err(problem) = super::at_most(places.len()) {
            return vec![Err(problem)];
        }
    }
    places
}

/// The place in each of the subjects, unless it says itself in which image it is.
fn within(place: Place, subjects: &[Digest]) -> impl Iterator<Item = Place> {
    let digests: Vec<_> = match place.scope.digest.is_some() || subjects.is_empty() {
        true => vec![place.scope.digest.clone()],
        false => subjects.iter().cloned().map(Some).collect(),
    };
    digests.into_iter().map(move |digest| {
        let limited = |scope: &Scope| Scope {
            digest: digest.clone(),
            ..scope.clone()
        };
        Place {
            scope: limited(&place.scope),
            reach: limited(&place.reach),
            about: place.about.clone(),
        }
    })
}

/// Why something does not count, in the words of the statement.
fn reason(statement: &Field<'_>, word: &str, about: &str) -> String {
    let why: Vec<_> = ["justification", "impact_statement", "status_notes"]
        .into_iter()
        .filter_map(|name| statement.get(name).text())
        .collect();
    let mut reason = word.to_owned();
    if !why.is_empty() {
        reason = format!("{reason}: {}", why.join("; "));
    }
    format!("{reason} (stated for {about})")
}

/// Refuses a status that OpenVEX does not know.
fn check_status(status: &Field<'_>) -> Result<(), Problem> {
    match status.required()? {
        "not_affected" | "fixed" | "affected" | "under_investigation" => Ok(()),
        other => Err(status.problem(format!("`{}` is no status of OpenVEX", clip(other)))),
    }
}

/// Refuses that something is not affected where no reason that OpenVEX knows is given for it.
fn check_reason(statement: &Field<'_>, status: &Field<'_>) -> Result<(), Problem> {
    let justification = statement.get("justification");
    let impact = statement.get("impact_statement");
    match (justification.optional()?, impact.optional()?) {
        (None, None) => {
            Err(status.problem("`not_affected` without `justification` or `impact_statement`"))
        }
        (Some(word), _) if !JUSTIFICATIONS.contains(&word) => {
            Err(justification.problem(format!("`{}` is no justification of OpenVEX", clip(word))))
        }
        _ => Ok(()),
    }
}

/// Where a statement about `product` holds. Before version 0.2 the subcomponents were the statement's,
/// the same for all its products.
fn of_product(
    context: &Context<'_>,
    product: &Field<'_>,
    of_statement: &Field<'_>,
    subjects: &[Digest],
    waives: bool,
) -> Result<Vec<Result<Place, Problem>>, Problem> {
    let (scope, about) = scope(context, product, subjects, waives)?;
    if let Some(digest) = &scope.digest
        && !subjects.is_empty()
        && !subjects.contains(digest)
    {
        let (field, _) = identifier(product)?;
        return Err(field.problem(format!(
            "`{digest}` is another image than what this is attested of, or than the header `weir-subject-digest` says: send what is said of that one as a document of its own"
        )));
    }
    let mut subcomponents = product.get("subcomponents").each()?;
    if subcomponents.is_empty() {
        subcomponents = of_statement.each()?;
    }
    if subcomponents.is_empty() {
        return Ok(vec![Ok(Place {
            reach: scope.clone(),
            scope,
            about,
        })]);
    }
    if scope.package.is_some() {
        let (field, _) = identifier(product)?;
        return Err(field.problem(format!(
            "`{}` is a package, and the statement is about packages within it: no override says that; name the image that holds it by its digest",
            clip(&about)
        )));
    }
    let places = subcomponents.iter().map(|subcomponent| {
        let (field, name) = identifier(subcomponent)?;
        // The version too: there may be packages of that name of more than one ecosystem.
        let purl = purl::parse(&name);
        if let Some(purl) = &purl {
            check_package(&field, purl)?;
        }
        let within = Scope {
            package: Some(
                purl.as_ref()
                    .map_or_else(|| name.clone(), purl::Purl::versioned),
            ),
            ..scope.clone()
        };
        Ok(Place {
            // What a name without an ecosystem stands for may be called otherwise elsewhere.
            reach: match purl {
                Some(_) => within.clone(),
                None => scope.clone(),
            },
            scope: within,
            about: format!("{name} in {about}"),
        })
    });
    Ok(places.collect())
}

/// Refuses what no override says of a package.
fn check_package(field: &Field<'_>, purl: &purl::Purl) -> Result<(), Problem> {
    if purl.subpath.is_some() {
        return Err(field.problem(vex::OF_A_SUBPATH));
    }
    match purl.version.as_deref().is_some_and(vex::is_range) {
        true => Err(field.problem(vex::OF_A_RANGE)),
        false => Ok(()),
    }
}

/// Where a product is. What `waives` may reach no other: what counts speaks against no less for that.
fn scope(
    context: &Context<'_>,
    product: &Field<'_>,
    subjects: &[Digest],
    waives: bool,
) -> Result<(Scope, String), Problem> {
    let (field, name) = identifier(product)?;
    let hashes = product.get("hashes").object()?;
    let hash = hashes.first(&["sha-256", "sha256"]);
    let hash = hash
        .optional()?
        .map(|hex| format!("sha256:{hex}").parse())
        .transpose();
    let digest = hash.map_err(|error| hashes.problem(error))?;
    let Some(purl) = purl::parse(&name) else {
        // A reference, or a word that only the author understands.
        let mut image = super::report::Image::default();
        image.reference(context, &name, field.path())?;
        let digest = digest.or_else(|| image.candidates.first().cloned());
        if digest.is_none() {
            return Err(field.problem(format!(
                "`{}` names neither an image by its digest nor a package (no package URL)",
                clip(&name)
            )));
        }
        let scope = Scope {
            digest,
            ..Scope::default()
        };
        return Ok((scope, name));
    };
    if !purl.is_image() {
        check_package(&field, &purl)?;
        if waives && subjects.is_empty() {
            let (package, version) = (purl.package(), purl.version.as_deref());
            vex::check_told_apart(&package, version, purl.is_of_system())
                .map_err(|why| field.problem(why))?;
        }
        let scope = Scope {
            package: Some(purl.versioned()),
            ..Scope::default()
        };
        return Ok((scope, name));
    }
    if purl.subpath.is_some() {
        return Err(field.problem(vex::OF_A_SUBPATH));
    }
    let repository = purl
        .repository()
        .map(|name| context.repository_named(&name));
    let repository = repository
        .transpose()
        .map_err(|error| field.problem(error))?;
    let own = purl.digest().map_err(|error| field.problem(error))?;
    let mut digest = own.or(digest);
    if let Some(narrowed) = purl.narrowed_by() {
        // Where another digest is said to be what it is about, that is the one of the architecture.
        if subjects.is_empty() || digest.as_ref().is_some_and(|own| subjects.contains(own)) {
            return Err(field.problem(vex::of_an_architecture(narrowed)));
        }
        digest = None;
    }
    if digest.is_none()
        && let Some(tag) = purl.tag().filter(|_| subjects.is_empty())
    {
        return Err(field.problem(format!(
            "an image by its tag `{}`, which may move: name it by its digest, or all of the repository without a tag",
            clip(tag)
        )));
    }
    if digest.is_none() && repository.is_none() && subjects.is_empty() {
        return Err(
            field.problem("an image with neither digest nor `repository_url`: it could be any")
        );
    }
    let scope = Scope {
        repository,
        digest,
        package: None,
    };
    Ok((scope, name))
}

/// What a product or subcomponent is called: a text in old documents, `@id` or a package URL among
/// the `identifiers` in new ones. Where both say something, the one that says more.
fn identifier<'a>(product: &Field<'a>) -> Result<(Field<'a>, String), Problem> {
    if let Some(name) = product.text() {
        return Ok((product.clone(), name.to_owned()));
    }
    let identifiers = product.get("identifiers").object()?;
    let (id, url) = (product.get("@id"), identifiers.get("purl"));
    let own = purl::parse(id.optional()?.unwrap_or_default());
    let field = match (own, url.optional()?) {
        (Some(own), Some(text)) => match purl::parse(text) {
            Some(other) if other == own || own.is_a_part_of(&other) => id,
            Some(other) if other.is_a_part_of(&own) => url,
            _ => {
                return Err(url.problem(
                    "another package URL than `@id`: which of the two the statement is about is not known",
                ));
            }
        },
        // A reference with a digest says more than a repository.
        (None, Some(text))
            if id.text().is_some_and(|id| id.contains("@sha"))
                && purl::parse(text).is_some_and(|purl| {
                    matches!(purl.digest(), Ok(None)) && purl.narrowed_by().is_none()
                }) =>
        {
            id
        }
        (_, Some(_)) => url,
        (_, None) => id,
    };
    let name = field.required()?.to_owned();
    Ok((field, name))
}
