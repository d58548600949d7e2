//! What a CycloneDX document says of vulnerabilities that its author has analysed: overrides.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use weir_schema::{Digest, vulnerability_name};

use super::context::Context;
use super::cyclonedx::{
    analysed, components, is_bare, links_to_another, named, purls, revises, scanner, state_of,
    within_link,
};
use super::field::Field;
use super::problem::Problem;
use super::purl;
use super::report::Image;
use super::vex::{self, Scope, Statement, Verdict};
use super::{Decoded, clip};

/// The overrides of what is analysed away, within the image if the document is about one; in what is
/// no scan, or revises what was said before, also that something is not.
pub(super) fn overrides(
    context: &Context<'_>,
    root: &Field<'_>,
    image: &Image,
    list: &[Field<'_>],
) -> Result<Vec<Decoded>, Problem> {
    let revises = revises(root);
    let all = revises || is_bare(root);
    let stated = list.iter().filter(|one| match all {
        true => state_of(one).is_some(),
        false => analysed(one).is_some(),
    });
    let stated: Vec<_> = stated.collect();
    if stated.is_empty() {
        return Ok(Vec::new());
    }
    let url = root.get("metadata").get("component").get("purl");
    let subject = context.subject()?;
    let of_image = url.text().and_then(purl::parse);
    let of_image = of_image.filter(purl::Purl::is_image);
    if let Some(purl) = of_image.filter(|_| subject.is_none())
        && let Err(problem) = check_whole(&url, &purl)
    {
        return Ok(vec![context.rejected(&problem)]);
    }
    let digest = subject
        .clone()
        .or_else(|| image.manifest.clone())
        .or_else(|| image.candidates.first().cloned());
    let document = root.get("serialNumber").text().unwrap_or_default();
    let metadata = root.get("metadata").object()?;
    let author = metadata.get("authors").items().next();
    let author = author.and_then(|author| author.get("name").string());
    let author = author.or_else(|| metadata.get("supplier").get("name").string());
    let author = author.unwrap_or_else(|| scanner(root).name.to_string());
    let about = About {
        components: components(root),
        purls: purls(root),
        is_told: subject.is_some(),
        digest,
        product: metadata.get("component"),
    };
    // What is waived, and what else is said of just that.
    let waived: BTreeSet<String> = list
        .iter()
        .filter(|one| analysed(one).is_some())
        .flat_map(names)
        .collect();
    let mut statements = Vec::new();
    for vulnerability in list {
        let is_told = match state_of(vulnerability) {
            Some(_) => all || analysed(vulnerability).is_some(),
            // It had one before.
            None => revises && is_bare(root),
        };
        if !is_told && !names(vulnerability).any(|name| waived.contains(&name)) {
            continue;
        }
        let id = vulnerability.get("id").required()?;
        let aliases: Rc<[String]> = names(vulnerability).collect();
        for (scope, verdict) in about.said(vulnerability, is_told) {
            super::at_most(statements.len())?;
            statements.push(Statement {
                document: document.to_owned(),
                vulnerability: id.to_owned(),
                aliases: Rc::clone(&aliases),
                // The list has no order.
                made: None,
                scope,
                actor: author.clone(),
                status: state_of(vulnerability).unwrap_or("no analysis").to_owned(),
                verdict,
            });
        }
    }
    let time = metadata.get("timestamp").time();
    Ok(vex::events(context, &statements, time, revises))
}

/// The names of a vulnerability: `references` are to what is the same elsewhere.
fn names(vulnerability: &Field<'_>) -> impl Iterator<Item = String> {
    let references = vulnerability.get("references");
    let others = references.items().filter_map(|one| one.get("id").string());
    let all: Vec<_> = vulnerability
        .get("id")
        .string()
        .into_iter()
        .chain(others)
        .collect();
    all.into_iter()
        .map(|name| vulnerability_name(&name).into_owned())
}

/// Refuses what is a part of an image, or one of several by that digest or name.
fn check_whole(field: &Field<'_>, purl: &purl::Purl) -> Result<(), Problem> {
    if purl.subpath.is_some() {
        return Err(field.problem(vex::OF_A_SUBPATH));
    }
    match purl.narrowed_by() {
        Some(narrowed) => Err(field.problem(vex::of_an_architecture(narrowed))),
        None => Ok(()),
    }
}

/// Why a statement is refused that is about the whole of what the document is about.
const OF_ANY_IMAGE: &str = "the whole of something that is named without the digest of an image: it could be any; name the image in the header `weir-subject-digest`";

/// What the statements of a document can be about.
struct About<'a> {
    components: BTreeMap<&'a str, (Option<String>, Option<String>)>,
    /// Their package URLs.
    purls: BTreeMap<&'a str, purl::Purl>,
    /// The image that the document is about.
    digest: Option<Digest>,
    /// The sender says so, whatever the document does.
    is_told: bool,
    /// What it is about, an image or not.
    product: Field<'a>,
}

impl About<'_> {
    /// Where a vulnerability is, and what is said of it there; `is_told` says whether anything is.
    fn said(
        &self,
        vulnerability: &Field<'_>,
        is_told: bool,
    ) -> Vec<(Result<Scope, Problem>, Verdict)> {
        let analysis = vulnerability.get("analysis");
        let waived = analysed(vulnerability);
        let verdict = |reference: &str, reach| match waived {
            Some(state) => Verdict::DoesNotCount(reason(&analysis, state, reference)),
            None if is_told => Verdict::Counts(reach),
            None => Verdict::Listed(reach),
        };
        let affects = vulnerability.get("affects");
        if affects.items().next().is_none() {
            return vec![(Err(affects.missing()), verdict("", Scope::default()))];
        }
        let mut said = Vec::new();
        for affected in affects.items() {
            let reference = affected.get("ref").text().unwrap_or_default();
            let place = self.place(&affected);
            let reach = place.as_ref().map(Place::reach).unwrap_or_default();
            match place.and_then(|place| place.scopes(&affected, waived.is_some())) {
                Ok(scopes) => said.extend(
                    scopes
                        .into_iter()
                        .map(|scope| (Ok(scope), verdict(reference, reach.clone()))),
                ),
                Err(problem) => said.push((Err(problem), verdict(reference, reach))),
            }
        }
        said
    }

    /// What `affected` names.
    fn place(&self, affected: &Field<'_>) -> Result<Place, Problem> {
        let field = affected.get("ref");
        let reference = field.required()?;
        let (package, version) = named(reference, &self.components);
        let of_image = purl::parse(reference).filter(purl::Purl::is_image);
        let own = of_image.as_ref().map(purl::Purl::digest).transpose();
        let own = own.map_err(|error| field.problem(error))?;
        let own = own.flatten().filter(|_| !self.is_told);
        if let Some(purl) = of_image.as_ref().filter(|_| !self.is_told) {
            check_whole(&field, purl)?;
        }
        let digest = own.or_else(|| self.digest.clone());
        let is_product = self.product.get("bom-ref").text() == Some(reference);
        // What holds in a program does not hold wherever its libraries are.
        let of_part = match self.product.get("name").text() {
            Some(name) => Some(format!("is about `{}`", clip(name))),
            None if !self.product.is_absent() => Some("is about one thing".to_owned()),
            None if links_to_another(reference) => {
                Some("speaks of a component of another document".to_owned())
            }
            None => None,
        };
        if let Some(of_part) = of_part.filter(|_| digest.is_none() && !is_product) {
            return Err(field.problem(format!(
                "the document {of_part}, and names no image by its digest: no override can be limited to what is in it; name the image in the header `weir-subject-digest`"
            )));
        }
        let package = package.filter(|_| of_image.is_none());
        if package.is_none() && of_image.is_none() && !is_product {
            return Err(field.problem(
                "neither a component of the document nor a package URL: the statement could be about anything",
            ));
        }
        let purl = purl::parse(&within_link(reference));
        let purls = [self.purls.get(reference), purl.as_ref()];
        let is_any = |which: fn(&purl::Purl) -> bool| purls.into_iter().flatten().any(which);
        if is_any(|purl| purl.subpath.is_some()) {
            return Err(field.problem(vex::OF_A_SUBPATH));
        }
        Ok(Place {
            digest,
            package,
            version,
            is_of_system: is_any(purl::Purl::is_of_system),
        })
    }
}

/// What a reference names.
struct Place {
    digest: Option<Digest>,
    package: Option<String>,
    /// The reference's own.
    version: Option<String>,
    is_of_system: bool,
}

impl Place {
    /// All of it: the versions that are listed beside it do not say which of them may count.
    fn reach(&self) -> Scope {
        let version = self.version.as_deref().filter(|one| !vex::is_range(one));
        self.scope(version)
    }

    /// Where a statement holds: of a package without a version of its own, for each that is said to be
    /// unaffected, if some are named. What `waives` may reach no other package.
    fn scopes(&self, affected: &Field<'_>, waives: bool) -> Result<Vec<Scope>, Problem> {
        let field = affected.get("ref");
        let versions = affected.get("versions");
        let versions = match &self.version {
            None if !versions.is_absent() => unaffected(&versions)?,
            own => vec![own.clone()],
        };
        if versions.iter().flatten().any(|one| vex::is_range(one)) {
            return Err(field.problem(vex::OF_A_RANGE));
        }
        if let Some(package) = self.package.as_deref()
            && waives
            && self.digest.is_none()
        {
            for version in &versions {
                vex::check_told_apart(package, version.as_deref(), self.is_of_system)
                    .map_err(|why| field.problem(why))?;
            }
        }
        let scopes = versions
            .iter()
            .map(|version| self.scope(version.as_deref()));
        let scopes: Vec<_> = scopes.collect();
        match scopes.contains(&Scope::default()) {
            true => Err(field.problem(OF_ANY_IMAGE)),
            false => Ok(scopes),
        }
    }

    fn scope(&self, version: Option<&str>) -> Scope {
        Scope {
            repository: None,
            digest: self.digest.clone(),
            package: match (&self.package, version) {
                (Some(package), Some(version)) => Some(format!("{package}@{version}")),
                (package, _) => package.clone(),
            },
        }
    }
}

/// Why something does not count, in the words of its analysis.
fn reason(analysis: &Field<'_>, state: &str, reference: &str) -> String {
    let why: Vec<_> = ["justification", "detail"]
        .into_iter()
        .filter_map(|name| analysis.get(name).text())
        .collect();
    let reason = match why.is_empty() {
        true => state.to_owned(),
        false => format!("{state}: {}", why.join("; ")),
    };
    format!("{reason} (stated for {reference})")
}

/// The versions that are said not to be affected. An override knows no ranges.
fn unaffected(versions: &Field<'_>) -> Result<Vec<Option<String>>, Problem> {
    let said = versions.items().filter(|one| {
        let status = one.get("status").text();
        // What is affected, the default, is none of what a statement of the contrary is about.
        status == Some("unaffected")
    });
    let said: Vec<_> = said
        .map(|one| {
            one.get("version")
                .required()
                .map(|text| Some(text.to_owned()))
        })
        .collect::<Result<_, _>>()?;
    match said.is_empty() {
        true => Err(versions.problem("none of the versions is said to be `unaffected`")),
        false => Ok(said),
    }
}
