//! The templates of an analysis: those it names, and those that they name in turn.

use std::collections::BTreeSet;

use crds::analysis::AnalysisTemplateSpec;
use crds::rollout::AnalysisTemplateRef;

use crate::world::{Lookup, Templates};

/// An `AnalysisTemplate` or `ClusterAnalysisTemplate`.
#[derive(Clone, Copy, Debug)]
pub struct Template<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it says. Templates that it names in turn are beside it in a list.
    pub spec: &'a AnalysisTemplateSpec,
}

/// A template that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Its name.
    pub name: String,
    /// Why, in a sentence.
    pub why: String,
}

/// Finds the templates that `named` asks for, each once, in the order in which Argo puts them together: those of the
/// namespace first, and every template before those that it names itself. A circle of names ends where it closes.
///
/// # Errors
///
/// The first template that does not exist or cannot be read.
pub fn find<'w>(
    named: &'w [AnalysisTemplateRef],
    templates: &'w Templates,
) -> Result<Vec<Template<'w>>, Missing> {
    let mut search = Search { templates, seen: BTreeSet::new(), found: [Vec::new(), Vec::new()] };
    search.follow(named)?;
    Ok(search.found.into_iter().flatten().collect())
}

struct Search<'w> {
    templates: &'w Templates,
    seen: BTreeSet<(bool, &'w str)>,
    /// Of the namespace, and of the cluster.
    found: [Vec<Template<'w>>; 2],
}

impl<'w> Search<'w> {
    /// Depth first, without recursion: a chain of names may be as long as users make it.
    fn follow(&mut self, named: &'w [AnalysisTemplateRef]) -> Result<(), Missing> {
        let mut waiting: Vec<&AnalysisTemplateRef> = named.iter().rev().collect();
        while let Some(reference) = waiting.pop() {
            let (name, cluster) = (reference.template_name.as_str(), reference.cluster_scope == Some(true));
            if !self.seen.insert((cluster, name)) {
                continue;
            }
            let spec = self.look(name, cluster)?;
            self.found[usize::from(cluster)].push(Template { name, spec });
            waiting.extend(spec.templates.iter().rev());
        }
        Ok(())
    }

    fn look(&self, name: &str, cluster: bool) -> Result<&'w AnalysisTemplateSpec, Missing> {
        let (kind, known) = if cluster {
            ("ClusterAnalysisTemplate", &self.templates.of_cluster)
        } else {
            ("AnalysisTemplate", &self.templates.of_namespace)
        };
        let missing = |why| Missing { name: name.to_owned(), why };
        match known.get(name).and_then(Lookup::found) {
            Some(Ok(spec)) => Ok(spec),
            Some(Err(problem)) => Err(missing(format!("{kind} '{name}' cannot be read: {problem}"))),
            None => Err(missing(format!("{kind} '{name}' not found"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn named(names: &[&str]) -> Vec<AnalysisTemplateRef> {
        let reference = |name: &&str| AnalysisTemplateRef {
            template_name: name.trim_start_matches("cluster/").to_owned(),
            cluster_scope: name.starts_with("cluster/").then_some(true),
        };
        names.iter().map(reference).collect()
    }

    /// Templates by name, each with the names of those that it names.
    fn templates(all: &[(&str, &[&str])]) -> Templates {
        let mut templates = Templates::default();
        for (name, inner) in all {
            let spec = AnalysisTemplateSpec { templates: named(inner), ..AnalysisTemplateSpec::default() };
            let found = Lookup::Found(Ok(Arc::new(spec)));
            match name.strip_prefix("cluster/") {
                Some(name) => templates.of_cluster.insert(name.to_owned(), found),
                None => templates.of_namespace.insert((*name).to_owned(), found),
            };
        }
        templates
    }

    fn found(wanted: &[&str], templates: &Templates) -> Result<Vec<String>, String> {
        let wanted = named(wanted);
        let found = find(&wanted, templates).map_err(|missing| missing.why)?;
        Ok(found.iter().map(|template| template.name.to_owned()).collect())
    }

    #[test]
    fn those_of_the_namespace_come_first_and_outer_ones_before_inner_ones() {
        let all = templates(&[
            ("a", &["b", "cluster/c"]),
            ("b", &["d"]),
            ("cluster/c", &["e"]),
            ("d", &[]),
            ("e", &[]),
        ]);
        assert_eq!(found(&["cluster/c", "a"], &all).unwrap(), ["e", "a", "b", "d", "c"]);
        assert_eq!(found(&["a"], &all).unwrap(), ["a", "b", "d", "e", "c"]);
    }

    #[test]
    fn each_comes_once_and_a_circle_ends() {
        let all = templates(&[("a", &["b"]), ("b", &["a", "b"])]);
        assert_eq!(found(&["a", "b", "a"], &all).unwrap(), ["a", "b"]);
    }

    #[test]
    fn what_is_missing_is_named_in_argos_words() {
        let mut all = templates(&[("a", &["gone"])]);
        assert_eq!(found(&["gone"], &all).unwrap_err(), "AnalysisTemplate 'gone' not found");
        assert_eq!(found(&["a"], &all).unwrap_err(), "AnalysisTemplate 'gone' not found");
        assert_eq!(found(&["cluster/a"], &all).unwrap_err(), "ClusterAnalysisTemplate 'a' not found");
        all.of_namespace.insert("odd".to_owned(), Lookup::Found(Err("spec.metrics: wrong".to_owned())));
        let message = "AnalysisTemplate 'odd' cannot be read: spec.metrics: wrong";
        assert_eq!(found(&["odd"], &all).unwrap_err(), message);
    }
}
