//! Rules of Ingresses with equal place make one route, and one more for each kind of request that a canary tells apart.
//!
//! Of several Ingresses with the same rule the oldest counts; one canary may take a part of it.

mod emissary;
mod guarded;
mod report;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use proxy_config::{
    model::{
        Access, Action, Arm, ArmId, Case, Change, Filters, HostRewrite, Mirror, MirrorId, NamedMatch,
        Refusal, Rewrite, Route, RouteId, Share, Split, SplitId,
    },
    validate::validate_change,
};

use self::{
    guarded::Guarded,
    report::{report, unserved},
};
use super::{
    Backends, Compiler, Pending, User,
    backend::{Backend, BackendKey, Problem},
    stores::Stores,
    verdict,
};
use crate::{
    compiled::{ObjectKind, ObjectVersion, Rule as RouteRule, SplitReport, Subject},
    ingress::{self, Ingress, Level, Place, Rule, Target},
    mapping::Connection,
    object::{IngressObject, ObjectName},
};

/// How many rules an event names.
const NAMED: usize = 5;
/// The code of answers of an Ingress that must not be served without what keeps clients out.
const UNPROTECTED: &str = "no_protection";

/// What an Ingress is told of one of its rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// It is not served as it is written.
    Problem(String),
    /// It is, and there is something to know.
    Remark(String),
}

/// An Ingress that has a rule of a place.
#[derive(Clone, Copy)]
struct Claimant<'a> {
    name: &'a ObjectName,
    object: &'a IngressObject,
    ingress: &'a Ingress,
    rule: &'a Rule,
}

/// What a place contributes.
#[derive(Default)]
struct Output {
    routes: Vec<Route>,
    splits: Vec<(SplitId, SplitReport)>,
    words: BTreeMap<ObjectName, Word>,
}

impl Compiler {
    /// Reads the Ingresses that changed, or all of them if what decides about all has.
    pub(super) fn read_ingresses(&mut self, pending: &mut Pending) {
        for name in std::mem::take(&mut self.touched.ingresses) {
            let read =
                self.stores.ingress_objects.get(&name).and_then(|object| self.read_ingress(&name, object));
            let before = match read {
                Some(read) => self.stores.ingresses.insert(name.clone(), read),
                None => self.stores.ingresses.remove(&name),
            };
            let now = self.stores.ingresses.get(&name).and_then(|it| it.as_ref().ok());
            let before = before.and_then(Result::ok);
            if before.as_ref().map(|it| &it.tls) != now.map(|it| &it.tls) {
                self.touched.entrances = true;
            }
            // Secrets are asked for there.
            let passwords = |it: Option<&Ingress>| it.and_then(|it| it.guard.passwords.clone());
            self.touched.entrances |= passwords(before.as_ref()) != passwords(now);
            // The first and the last decide whether there is an entrance for them.
            self.touched.entrances |= before.is_some() != now.is_some();
            let places = now.into_iter().chain(&before).flat_map(|it| &it.rules);
            self.touched.places.extend(places.map(|rule| Arc::clone(&rule.place)));
            for rule in before.iter().flat_map(|it| &it.rules) {
                if let Some(claims) = self.places.get_mut(&rule.place) {
                    claims.remove(&name);
                    if claims.is_empty() {
                        self.places.remove(&rule.place);
                    }
                }
            }
            for rule in now.into_iter().flat_map(|it| &it.rules) {
                self.places.entry(Arc::clone(&rule.place)).or_default().insert(name.clone());
            }
            if !self.stores.ingresses.contains_key(&name) {
                pending.statuses.insert(Subject::Ingress(name.clone()), None);
            }
            self.touched.judged.insert(name);
        }
    }

    /// `None`: it is not ours.
    fn read_ingress(&self, name: &ObjectName, object: &IngressObject) -> Option<Result<Ingress, String>> {
        let classes = &self.stores.ingress_classes;
        let ours = ingress::class::is_ours(object, classes, &self.settings.ingress_controllers);
        if !ours || self.is_emissarys(object) {
            return None;
        }
        let prefix = &self.settings.ingress_annotations;
        let read = ingress::parse(name, object, &self.stores.ingress_defaults, prefix);
        Some(read.and_then(|ingress| {
            // What the proxy would refuse of its connections is refused here, alone.
            match BackendKey::fault_of(&ingress.options.connection, &self.stores) {
                Some(fault) => Err(fault),
                None => Ok(ingress),
            }
        }))
    }

    /// Computes the routes of one place.
    pub(super) fn compile_place(&mut self, place: &Arc<Place>, pending: &mut Pending) {
        let names = self.places.get(place).into_iter().flatten();
        let claimants: Vec<Claimant<'_>> =
            names.filter_map(|name| Claimant::new(&self.stores, name, place)).collect();
        let wanted: BTreeSet<BackendKey> = claimants
            .iter()
            .flat_map(|it| [it.backend(), it.mirror(), it.authorized_by()])
            .flatten()
            .collect();
        let made = self.make(&wanted);
        let backends = Backends { known: &self.backends, made: &made };
        let Output { routes, splits, words } = compile(place, &claimants, backends, &self.stores);
        for level in Level::ALL {
            let id = place.id(level);
            pending.fleet.routes.insert(RouteId::new(id.clone()), None);
            pending.rules.insert(RouteId::new(id.clone()), None);
            pending.splits.insert(SplitId::new(id), None);
        }
        for route in routes {
            // It is for its own hosts, whatever Hosts of Emissary select.
            let rule = RouteRule { everywhere: true, named: true, ..RouteRule::default() };
            pending.rules.insert(route.id.clone(), Some(Arc::new(rule)));
            pending.fleet.routes.insert(route.id.clone(), Some(Arc::new(route)));
        }
        pending.splits.extend(splits.into_iter().map(|(id, report)| (id, Some(Arc::new(report)))));
        self.touched.judged.extend(claimants.iter().map(|it| it.name.clone()));
        if words.is_empty() {
            self.words.remove(place);
        } else {
            self.words.insert(Arc::clone(place), words);
        }
        self.set_uses(&User::Place(Arc::clone(place)), wanted, made, pending);
    }

    /// The verdict on an Ingress, once all of its rules are compiled.
    pub(super) fn judge_ingress(&self, name: &ObjectName, pending: &mut Pending) {
        if let Some((documents, _)) = self.stores.emissary_ingresses.get(name) {
            let made = documents.iter().map(|it| format!("{} `{}`", it.kind.as_str(), it.name.name));
            let status =
                verdict::running(format!("as in Emissary, it is {}", made.collect::<Vec<_>>().join(", ")));
            pending.statuses.insert(Subject::Ingress(name.clone()), Some(status));
            return;
        }
        let Some(read) = self.stores.ingresses.get(name) else { return };
        let ingress = match read {
            Err(reason) => {
                let status = verdict::inactive(reason.clone());
                pending.statuses.insert(Subject::Ingress(name.clone()), Some(status));
                return;
            }
            Ok(ingress) => ingress,
        };
        let mut problems: Vec<String> = ingress.problems.clone();
        problems.extend(self.ingress_tls.get(name).into_iter().flatten().cloned());
        let mut remarks = Vec::new();
        let mut served = Vec::new();
        for rule in &ingress.rules {
            match self.words.get(&rule.place).and_then(|words| words.get(name)) {
                Some(Word::Problem(text)) => problems.push(format!("{}: {text}", rule.place.show())),
                Some(Word::Remark(text)) => {
                    served.push(rule.place.show());
                    remarks.push(format!("{}: {text}", rule.place.show()));
                }
                None => served.push(rule.place.show()),
            }
        }
        remarks.extend(ingress.remarks.iter().cloned());
        let more = served.len().saturating_sub(NAMED);
        served.truncate(NAMED);
        let served = match (served.is_empty(), more) {
            (true, _) => "it has no rule that is served".to_owned(),
            (false, 0) => format!("served: {}", served.join(", ")),
            (false, more) => format!("served: {} and {more} more", served.join(", ")),
        };
        let all_is_well = problems.is_empty();
        let sentences: Vec<String> = problems.into_iter().chain([served]).chain(remarks).collect();
        let reason = sentences.join("; ");
        let status = if all_is_well { verdict::running(reason) } else { verdict::inactive(reason) };
        pending.statuses.insert(Subject::Ingress(name.clone()), Some(status));
    }
}

impl<'a> Claimant<'a> {
    fn new(stores: &'a Stores, name: &'a ObjectName, place: &Arc<Place>) -> Option<Self> {
        let ingress = stores.ingresses.get(name)?.as_ref().ok()?;
        let rule = ingress.rules.iter().find(|rule| rule.place == *place)?;
        Some(Self { name, object: stores.ingress_objects.get(name)?, ingress, rule })
    }

    fn age(&self) -> (i64, &'a ObjectName) {
        (self.object.created, self.name)
    }

    fn backend(&self) -> Option<BackendKey> {
        let options = &self.ingress.options;
        match &self.rule.target {
            Target::Service(service, port) => {
                Some(BackendKey::of_ingress(service, port, &options.connection, options.upstream_tls))
            }
            Target::Redirect(_) => None,
        }
    }

    /// Who gets copies of what the rule sends somewhere. A canary has those of its main Ingress.
    fn mirror(&self) -> Option<BackendKey> {
        let copied = self.ingress.canary.is_none() && matches!(self.rule.target, Target::Service(..));
        let target = self.ingress.mirror.as_ref().filter(|_| copied)?;
        Some(BackendKey::of(target, &Connection::default(), &self.name.namespace, true))
    }

    fn version(&self) -> ObjectVersion {
        let resource_version = Arc::clone(&self.object.resource_version);
        ObjectVersion { kind: ObjectKind::Ingress, object: self.name.clone(), resource_version }
    }
}

/// The routes of a place. `backends` has those of every claimant.
fn compile(place: &Place, claimants: &[Claimant<'_>], backends: Backends<'_>, stores: &Stores) -> Output {
    let mut output = Output::default();
    let oldest = |canary: bool| {
        let mut sorted: Vec<Claimant<'_>> =
            claimants.iter().filter(|it| it.ingress.canary.is_some() == canary).copied().collect();
        sorted.sort_by_key(Claimant::age);
        sorted
    };
    let (mains, canaries) = (oldest(false), oldest(true));
    let mut problem = |claimant: &Claimant<'_>, text: String| {
        output.words.insert(claimant.name.clone(), Word::Problem(text));
    };
    for late in mains.iter().skip(1) {
        problem(late, format!("Ingress `{}`, which is older, has the same rule", mains[0].name));
    }
    for late in canaries.iter().skip(1) {
        problem(late, format!("Ingress `{}`, which is older, is the canary of this rule", canaries[0].name));
    }
    let Some(main) = mains.first() else {
        if let Some(canary) = canaries.first() {
            let text = "it is a canary, and no Ingress without `canary` has this rule".to_owned();
            problem(canary, text);
            output.splits.push((SplitId::new(place.id(Level::Split)), unserved(canary)));
        }
        return output;
    };
    let mut canary = canaries.first().copied();
    if let Some(it) = canary {
        let refusal = match (&main.rule.target, &it.rule.target) {
            (Target::Redirect(_), _) | (_, Target::Redirect(_)) => {
                Some(Some(format!("it is a canary, and Ingress `{}` redirects the requests", main.name)))
            }
            // A path that both send to one Service is there because canaries are copies.
            (a, b) if a == b => Some(None),
            _ => None,
        };
        if let Some(text) = refusal {
            canary = None;
            if let Some(text) = text {
                problem(&it, text);
            }
        }
    }
    let guarded = Guarded::new(main, backends, stores);
    let made = routes(place, main, canary.as_ref(), &guarded, backends);
    let with_canary = canary.is_some();
    let (routes, refused) = match (made, with_canary) {
        (Err(reason), true) => (routes(place, main, None, &guarded, backends), Some(reason)),
        (made, _) => (made, None),
    };
    if let Some(reason) = refused
        && routes.is_ok()
        && let Some(it) = canary.take()
    {
        problem(&it, reason);
    }
    match routes {
        Err(reason) => problem(main, reason),
        Ok(routes) => output.routes = routes,
    }
    if !output.routes.is_empty() {
        for claimant in [Some(main), canary.as_ref()].into_iter().flatten() {
            let guarded = (claimant.name == main.name).then_some(&guarded);
            if let Some(word) = word(claimant, guarded, backends) {
                output.words.insert(claimant.name.clone(), word);
            }
        }
    }
    for route in &output.routes {
        if let Action::Split(split) = &route.action {
            let level = Level::ALL.into_iter().find(|level| place.id(*level) == route.id.as_str());
            let report = report(main, canary.as_ref(), level.unwrap_or(Level::Split), backends);
            output.splits.push((split.id.clone(), report));
        }
    }
    output
}

/// What is to be said of a rule that is served.
fn word(claimant: &Claimant<'_>, guarded: Option<&Guarded>, backends: Backends<'_>) -> Option<Word> {
    let backend = &backends[&claimant.backend()?];
    if let Some(Guarded::Closed(reason)) = guarded {
        return Some(Word::Problem(format!("requests are answered with 503: {reason}")));
    }
    if let Some(Problem { text, .. }) = &backend.problem {
        return Some(Word::Problem(format!("no request arrives: {text}")));
    }
    let told = match guarded {
        Some(Guarded::By(_, told)) => told.as_ref(),
        Some(Guarded::Closed(_)) | None => None,
    };
    let told = told.or(backend.remark.as_ref()).cloned();
    let copies = claimant.mirror().and_then(|mirror| backends[&mirror].problem.as_ref());
    let copies = copies.map(|problem| format!("no request is copied: {}", problem.text));
    told.into_iter().chain(copies).reduce(|one, other| format!("{one}; {other}")).map(Word::Remark)
}

/// The routes of a place, or why the proxies would not take one of them.
fn routes(
    place: &Place,
    main: &Claimant<'_>,
    canary: Option<&Claimant<'_>>,
    guarded: &Guarded,
    backends: Backends<'_>,
) -> Result<Vec<Route>, String> {
    let rewrite = main.ingress.options.rewrite_at(place)?;
    let mut routes = Vec::new();
    for level in Level::ALL {
        let condition = canary.and_then(|it| it.ingress.canary.as_ref()).and_then(|it| it.condition(level));
        if level != Level::Split && condition.is_none() {
            continue;
        }
        let action = match guarded {
            // Who is sent elsewhere gets nothing of what is protected.
            Guarded::Closed(_) if !matches!(main.rule.target, Target::Redirect(_)) => {
                Action::Refuse(Refusal { status: 503, reason: UNPROTECTED.to_owned() })
            }
            Guarded::Closed(_) | Guarded::By(..) => action(place, level, main, canary, &rewrite, backends),
        };
        let access = match guarded {
            Guarded::By(access, _) => access.as_ref(),
            Guarded::Closed(_) => None,
        };
        let route = route(place, level, main, condition, access, action);
        if let Some(problem) = validate_change(&Change::Route(Arc::new(route.clone()))).into_iter().next() {
            return Err(problem.fault.to_string());
        }
        routes.push(route);
    }
    Ok(routes)
}

fn route(
    place: &Place,
    level: Level,
    main: &Claimant<'_>,
    condition: Option<NamedMatch>,
    access: Option<&Access>,
    action: Action,
) -> Route {
    let options = &main.ingress.options;
    let (path, case) = place.path_match();
    Route {
        id: RouteId::new(place.id(level)),
        rank: place.rank(level),
        host: place.host.clone(),
        path,
        case,
        method: None,
        headers: condition.into_iter().collect(),
        query: Vec::new(),
        listeners: Vec::new(),
        classes: Vec::new(),
        to_https: main.rule.to_https,
        filters: Filters {
            cors: options.cors.clone().map(Box::new),
            request_headers: options.request_headers.clone(),
            access: access.cloned().map(Box::new),
            clients: options.clients.clone().map(Box::new),
            max_body_bytes: options.max_body_bytes,
            ..Filters::default()
        },
        action,
    }
}

fn action(
    place: &Place,
    level: Level,
    main: &Claimant<'_>,
    canary: Option<&Claimant<'_>>,
    rewrite: &Rewrite,
    backends: Backends<'_>,
) -> Action {
    let refuse = |code: &str| Action::Refuse(Refusal { status: 503, reason: code.to_owned() });
    if let Target::Redirect(redirect) = &main.rule.target {
        return Action::Redirect(redirect.clone());
    }
    let members = members(level, main, canary, backends);
    if let Some(problem) =
        members.iter().map(|(_, _, backend)| backend.problem.as_ref()).reduce(Option::and).flatten()
    {
        return refuse(problem.code);
    }
    let mut arms: Vec<Arm> =
        members.iter().map(|(member, share, backend)| arm(main, member, *share, backend, rewrite)).collect();
    arms.sort_by(|a, b| a.id.cmp(&b.id));
    let mirrors = mirror(main, backends).map(|backend| Mirror {
        id: MirrorId::new(main.name.to_string()),
        share: Share::WHOLE,
        cluster: backend.cluster.id.clone(),
        path: None,
        case: Case::default(),
        method: None,
        headers: Vec::new(),
        query: Vec::new(),
    });
    Action::Split(Split { id: SplitId::new(place.id(level)), arms, mirrors: mirrors.into_iter().collect() })
}

/// What gets copies of the requests. One that cannot serve is none: nobody would get them.
fn mirror<'a>(main: &Claimant<'_>, backends: Backends<'a>) -> Option<&'a Backend> {
    main.mirror().map(|mirror| backends.get(&mirror)).filter(|backend| backend.problem.is_none())
}

/// Who gets how much of the requests of a level.
fn members<'a>(
    level: Level,
    main: &'a Claimant<'a>,
    canary: Option<&'a Claimant<'a>>,
    backends: Backends<'a>,
) -> Vec<(&'a Claimant<'a>, Share, &'a Backend)> {
    let share = canary.and_then(|it| it.ingress.canary.as_ref()).map_or(Share::ZERO, |it| it.share);
    let rest = Share::of_10000(u32::from(Share::WHOLE.parts() - share.parts())).unwrap_or_default();
    let members = match (level, canary) {
        (Level::ByHeader | Level::ByCookie, Some(canary)) => vec![(canary, Share::WHOLE)],
        (Level::Split, Some(canary)) => vec![(main, rest), (canary, share)],
        (Level::NotByHeader | Level::NotByCookie, _) | (_, None) => vec![(main, Share::WHOLE)],
    };
    let with_backend = |(member, share): (&'a Claimant<'a>, Share)| {
        let key = member.backend()?;
        Some((member, share, backends.get(&key)))
    };
    members.into_iter().filter_map(with_backend).collect()
}

/// The arm of an Ingress; all but where it goes is as the main one says.
fn arm(
    main: &Claimant<'_>,
    member: &Claimant<'_>,
    share: Share,
    backend: &Backend,
    rewrite: &Rewrite,
) -> Arm {
    let options = &main.ingress.options;
    let host_rewrite: HostRewrite = options.host_rewrite.clone();
    Arm {
        id: ArmId::new(member.name.to_string()),
        share,
        cluster: backend.cluster.id.clone(),
        rewrite: rewrite.clone(),
        host_rewrite,
        timeout_ms: None,
        idle_timeout_ms: Some(options.idle_timeout_ms),
        total_timeout_ms: None,
        request_headers: Vec::new(),
        response_headers: Vec::new(),
    }
}
