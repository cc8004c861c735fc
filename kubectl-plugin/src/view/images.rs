//! The images that run now, each with the parts in which it runs.

use std::collections::{BTreeMap, BTreeSet};

use crds::contract::EXPERIMENT_TEMPLATE_NAME_ANNOTATION;
use k8s_openapi::api::apps::v1::ReplicaSet;

use super::experiment::Experiment;
use super::text::{Colour, Text};
use super::{Family, annotation, experiment, is_owned, replica_set};

/// One line an image, sorted by name: `shop:v2 (canary, Σ:baseline)`. Images of ReplicaSets without pods are left
/// out.
#[must_use]
pub fn of(family: &Family) -> Vec<Text> {
    let mut images = Images::default();
    let owned = |it: &&ReplicaSet| is_owned(&it.metadata, &family.rollout.metadata);
    for replica_set in family.replica_sets.iter().filter(owned) {
        let mut roles = replica_set::roles(&family.rollout, replica_set);
        // Ping and pong are roles of Services, which images do not have.
        roles.retain(|role| !matches!(role, replica_set::Role::Ping | replica_set::Role::Pong));
        let tags: Vec<_> = roles.into_iter().map(|role| (role.as_str().to_owned(), role.colour())).collect();
        images.add(replica_set, &tags);
    }
    for experiment in experiment::of_rollout(family) {
        images.add_experiment(experiment, family);
    }
    images.texts()
}

/// The same of one Experiment.
#[must_use]
pub fn of_experiment(experiment: &Experiment, family: &Family) -> Vec<Text> {
    let mut images = Images::default();
    images.add_experiment(experiment, family);
    images.texts()
}

#[derive(Default)]
struct Images(BTreeMap<String, Tags>);

/// The tags of an image. Those of a single ReplicaSet keep their order; merged ones are sorted, as Argo's are.
#[derive(Default)]
struct Tags(Vec<(String, Colour)>);

impl Images {
    fn add_experiment(&mut self, experiment: &Experiment, family: &Family) {
        for replica_set in experiment::replica_sets(experiment, family) {
            let template = annotation(&replica_set.metadata, EXPERIMENT_TEMPLATE_NAME_ANNOTATION);
            let tag = template.map(|template| (format!("Σ:{template}"), Colour::Default));
            self.add(replica_set, tag.as_slice());
        }
    }

    fn texts(self) -> Vec<Text> {
        self.0.into_iter().map(|(image, tags)| tags.text(&image)).collect()
    }

    fn add(&mut self, replica_set: &ReplicaSet, tags: &[(String, Colour)]) {
        if replica_set.status.as_ref().is_none_or(|status| status.replicas <= 0) {
            return;
        }
        let template = replica_set.spec.as_ref().and_then(|spec| spec.template.as_ref());
        let containers = template.and_then(|template| template.spec.as_ref()).map(|spec| &spec.containers);
        for container in containers.into_iter().flatten() {
            let image = container.image.clone().unwrap_or_default();
            match self.0.get_mut(&image) {
                Some(existing) => existing.merge(tags),
                None => {
                    self.0.insert(image, Tags(tags.to_owned()));
                }
            }
        }
    }
}

impl Tags {
    fn merge(&mut self, more: &[(String, Colour)]) {
        let mut seen = BTreeSet::new();
        self.0.extend_from_slice(more);
        self.0.retain(|(tag, _)| seen.insert(tag.clone()));
        self.0.sort_by(|a, b| a.0.cmp(&b.0));
    }

    fn text(self, image: &str) -> Text {
        if self.0.is_empty() {
            return Text::plain(image);
        }
        let tags = Text::join(self.0.into_iter().map(|(tag, colour)| Text::coloured(tag, colour)), ", ");
        Text::plain(format!("{image} (")).then(tags).then(Text::plain(")"))
    }
}
