//! `create`.

use std::path::{Path, PathBuf};

use kube::Api;
use kube::api::{DynamicObject, PostParams};

use crate::arguments::CreateAnalysisRun;
use crate::cluster::{Cluster, FIELD_MANAGER};
use crate::failure::Failure;
use crate::manifest::{self, Error, Kind, Object};
use crate::patch::analysis_run;

/// The objects of files, one each. Only a single Rollout can be watched.
pub fn read(files: &[PathBuf], watch: bool) -> Result<Vec<Object>, Failure> {
    let read = |path: &PathBuf| one(path).map_err(|source| Failure::Manifest { path: path.clone(), source });
    let objects: Vec<Object> = files.iter().map(read).collect::<Result<_, _>>()?;
    if watch && let Some(path) = files.first() {
        let watched = match objects.as_slice() {
            [object] if object.kind() == Kind::Rollout => Ok(()),
            [_] => Err(Error::CannotWatch),
            _ => Err(Error::CannotWatchSeveral),
        };
        watched.map_err(|source| Failure::Manifest { path: path.clone(), source })?;
    }
    Ok(objects)
}

/// Creates one object.
pub async fn run(cluster: &Cluster, object: &Object) -> Result<String, Failure> {
    let api = match object.kind() {
        Kind::Rollout => cluster.rollouts(),
        Kind::Experiment => cluster.experiments(),
        Kind::AnalysisTemplate => cluster.analysis_templates(),
        Kind::ClusterAnalysisTemplate => cluster.cluster_analysis_templates(),
        Kind::AnalysisRun => cluster.analysis_runs(),
    };
    let created = post(&api, object.kind(), &object.dynamic()).await?;
    Ok(format!("{}.argoproj.io/{created} created\n", object.kind().singular()))
}

/// Creates an AnalysisRun from a template.
pub async fn analysis_run(cluster: &Cluster, arguments: &CreateAnalysisRun) -> Result<String, Failure> {
    let template = match (&arguments.template.from, &arguments.template.from_file) {
        (Some(name), _) => {
            let (api, kind) = if arguments.global {
                (cluster.cluster_analysis_templates(), Kind::ClusterAnalysisTemplate)
            } else {
                (cluster.analysis_templates(), Kind::AnalysisTemplate)
            };
            api.get(name).await.map_err(|error| Failure::on(kind.plural(), error))?
        }
        (None, Some(path)) => {
            let read = one(path).map_err(|source| Failure::Manifest { path: path.clone(), source })?;
            read.dynamic()
        }
        // The command line asks for one of them.
        (None, None) => DynamicObject::new("", &kube::api::ApiResource::erase::<crds::AnalysisRun>(&())),
    };
    let name = analysis_run::Name {
        whole: arguments.name.clone(),
        beginning: arguments.generate_name.clone(),
        instance: arguments.instance_id.clone(),
        namespace: cluster.namespace().to_owned(),
    };
    let run = analysis_run::of_template(&template, &arguments.arguments, name)?;
    let created = post(&cluster.analysis_runs(), Kind::AnalysisRun, &run).await?;
    Ok(format!("analysisrun.argoproj.io/{created} created\n"))
}

/// The name that the object has then.
async fn post(api: &Api<DynamicObject>, kind: Kind, object: &DynamicObject) -> Result<String, Failure> {
    let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    let created = api.create(&parameters, object).await.map_err(|error| Failure::on(kind.plural(), error))?;
    Ok(created.metadata.name.unwrap_or_default())
}

fn one(path: &Path) -> Result<Object, Error> {
    let text = manifest::read(path)?;
    let [document] = <[_; 1]>::try_from(manifest::documents(&text)?).map_err(|_| Error::Several)?;
    Object::read(document)
}
