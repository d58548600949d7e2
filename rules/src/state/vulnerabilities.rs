//! The ways from a vulnerability to the reports that name it, both ways: found and taken out without a
//! search, however many reports there are.

use super::{
    numbers::{NameId, ReportId, VulnerabilityId},
    table::{Table, hash_of},
};
use crate::frozen::{Freezing, Frozen, ThawError, Thawing, frozen};

/// A vulnerability that was found somewhere, or overridden.
#[derive(Debug, Clone)]
struct Vulnerability {
    name: NameId,
    /// The reports that name it, in any order.
    naming: Vec<Naming>,
    /// How many overrides there are for it.
    overrides: u32,
}

/// A report that names a vulnerability.
#[derive(Debug, Clone)]
struct Naming {
    report: ReportId,
    /// The place of the way back among those of the report.
    way: u32,
}

/// The way of a report to a vulnerability that it names.
#[derive(Debug, Clone)]
pub(super) struct Way {
    to: VulnerabilityId,
    /// The place of the report among those that name it.
    at: u32,
}

/// The ways of one report, in order of the vulnerabilities' numbers.
pub(super) type Ways = Box<[Way]>;

/// Each vulnerability once. Those that nothing names any more keep their place, as their names do.
#[derive(Debug, Clone, Default)]
pub(super) struct Vulnerabilities {
    rows: Vec<Vulnerability>,
    table: Table,
}

impl Vulnerabilities {
    /// The number of a vulnerability, a new one if it was never seen.
    pub(super) fn intern(&mut self, name: NameId) -> VulnerabilityId {
        let hash = hash_of(&name);
        if let Some(place) = self.place(hash, name) {
            return VulnerabilityId::at(place);
        }
        let place = self.rows.len();
        self.rows.push(Vulnerability {
            name,
            naming: Vec::new(),
            overrides: 0,
        });
        self.table.insert(hash, place);
        VulnerabilityId::at(place)
    }

    /// The number of a vulnerability, if it was ever seen.
    pub(super) fn find(&self, name: NameId) -> Option<VulnerabilityId> {
        let place = self.place(hash_of(&name), name);
        place.map(VulnerabilityId::at)
    }

    fn place(&self, hash: u64, name: NameId) -> Option<usize> {
        self.table.find(hash, |place| self.rows[place].name == name)
    }

    /// How many places there are.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Notes that a report names these; gives its ways.
    pub(super) fn link(&mut self, report: ReportId, mut named: Vec<VulnerabilityId>) -> Ways {
        named.sort_unstable();
        named.dedup();
        let ways = named.into_iter().enumerate().map(|(way, to)| {
            let naming = &mut self.rows[to.place()].naming;
            let at = number(naming.len());
            naming.push(Naming {
                report,
                way: number(way),
            });
            Way { to, at }
        });
        ways.collect()
    }

    /// Forgets that a report named what its ways lead to. `moved` is told of reports that stand in
    /// another place from then on: report, way, place.
    pub(super) fn unlink(&mut self, ways: &Ways, mut moved: impl FnMut(ReportId, usize, u32)) {
        for way in ways {
            let naming = &mut self.rows[way.to.place()].naming;
            naming.swap_remove(way.at as usize);
            if let Some(one) = naming.get(way.at as usize) {
                moved(one.report, one.way as usize, way.at);
            }
        }
    }

    /// The reports that name it, in any order.
    pub(super) fn naming(&self, id: VulnerabilityId) -> impl Iterator<Item = ReportId> {
        self.rows[id.place()].naming.iter().map(|one| one.report)
    }

    /// Whether there are overrides for it.
    pub(super) fn is_overridden(&self, id: VulnerabilityId) -> bool {
        self.rows[id.place()].overrides > 0
    }

    /// Notes an override, or the end of one; whether there are some, where that changed.
    pub(super) fn set_override(&mut self, id: VulnerabilityId, exists: bool) -> Option<bool> {
        let count = &mut self.rows[id.place()].overrides;
        let before = *count > 0;
        *count = if exists {
            *count + 1
        } else {
            count.saturating_sub(1)
        };
        let after = *count > 0;
        (before != after).then_some(after)
    }
}

impl Way {
    /// The way now leads to another place.
    pub(super) fn move_to(&mut self, at: u32) {
        self.at = at;
    }
}

/// Whether some ways lead to a vulnerability.
pub(super) fn leads_to(ways: &Ways, id: VulnerabilityId) -> bool {
    ways.binary_search_by_key(&id, |way| way.to).is_ok()
}

/// How many of those that some ways lead to hold for `is`.
pub(super) fn count(ways: &Ways, is: impl Fn(VulnerabilityId) -> bool) -> u32 {
    number(ways.iter().filter(|way| is(way.to)).count())
}

fn number(place: usize) -> u32 {
    u32::try_from(place).expect("fewer than 2^32 of a kind fit in memory")
}

frozen!(struct Vulnerability { name, naming, overrides });
frozen!(struct Naming { report, way });
frozen!(struct Way { to, at });

impl Frozen for Vulnerabilities {
    fn freeze(&self, to: &mut Freezing<'_>) {
        self.rows.freeze(to);
    }

    fn thaw(from: &mut Thawing<'_>) -> Result<Self, ThawError> {
        let rows: Vec<Vulnerability> = Frozen::thaw(from)?;
        let table = Table::of(rows.iter().map(|row| Some(hash_of(&row.name))));
        Ok(Self { rows, table })
    }
}
