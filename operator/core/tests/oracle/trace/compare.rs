//! Compares two stories.

use std::collections::BTreeMap;

use super::story::{Act, Change, Story};
use crate::Verdict;

/// Every act has the same changes in the same order for each object, and the end is the same.
pub(crate) fn stories(wanted: &Story, got: &Story) -> Verdict {
    let mut differences = Vec::new();
    let last = wanted.acts.len() - 1;
    for (index, (wanted_act, got_act)) in wanted.acts.iter().zip(&got.acts).enumerate() {
        let beginning = wanted.cut_off && index == last;
        differences.extend(differing(wanted_act, got_act, beginning));
    }
    if !wanted.cut_off && wanted.end != got.end {
        for (key, value) in wanted.end.as_object().expect("an object") {
            if *value != got.end[key] {
                differences.push(format!("end: {key}\n    wanted {value}\n       got {}", got.end[key]));
            }
        }
    }
    if differences.is_empty() {
        Verdict::Passed
    } else {
        Verdict::Failed(format!("\n  {}", differences.join("\n  ")))
    }
}

fn differing(wanted: &Act, got: &Act, beginning: bool) -> Vec<String> {
    let (wanted_by, got_by) = (by_subject(wanted), by_subject(got));
    let mut subjects: Vec<&String> = wanted_by.keys().chain(got_by.keys()).collect();
    subjects.sort();
    subjects.dedup();
    let nothing = Vec::new();
    let mut differences = Vec::new();
    for subject in subjects {
        let wanted_list = wanted_by.get(subject).unwrap_or(&nothing);
        let got_list = got_by.get(subject).unwrap_or(&nothing);
        let same = if beginning { begins_with(got_list, wanted_list) } else { got_list == wanted_list };
        if !same {
            let [wanted_list, got_list] = [wanted_list, got_list]
                .map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "));
            differences.push(format!(
                "{}: {subject}\n    wanted {wanted_list}\n       got {got_list}",
                wanted.action,
            ));
        }
    }
    differences
}

fn by_subject(act: &Act) -> BTreeMap<String, Vec<&Change>> {
    let mut lists: BTreeMap<String, Vec<&Change>> = BTreeMap::new();
    for change in &act.changes {
        lists.entry(change.subject()).or_default().push(change);
    }
    lists
}

/// A list that was cut off: of its last scaling only the beginning may be there.
fn begins_with(whole: &[&Change], beginning: &[&Change]) -> bool {
    let Some((last, earlier)) = beginning.split_last() else { return true };
    if whole.len() < beginning.len() || whole[..earlier.len()] != *earlier {
        return false;
    }
    match (whole[earlier.len()], *last) {
        (
            Change::Scaled { revision, from, to, .. },
            Change::Scaled { revision: cut_revision, from: cut_from, to: cut, .. },
        ) => {
            revision == cut_revision
                && from == cut_from
                && ((from..=to).contains(&cut) || (to..=from).contains(&cut))
        }
        (whole, last) => whole == last,
    }
}
