//! What a reader lets through although the proxies would refuse it.

use proxy_config::{
    model::{HostRewrite, PathMatch, Rewrite},
    validate::validate,
};
use serde_json::json;

use super::*;
use crate::{
    compiled::{State, Status},
    dialect::{DocumentKind, Origin},
    mapping::Mapping,
};

fn mapping(name: &str) -> DocumentName {
    DocumentName { kind: DocumentKind::Mapping, name: ObjectName::new("shop", name) }
}

fn status<'c>(compiler: &'c Compiler, name: &str) -> &'c Status {
    &compiler.compiled().statuses[&Subject::Document(mapping(name), Origin::Object)]
}

/// What is wrong, whether there is a route all the same, what is told.
type Row = (fn(&mut Mapping), bool, &'static str);

#[test]
fn what_a_reader_lets_through_keeps_nothing_else_from_the_proxies() {
    let table: [Row; 4] = [
        (
            |it| it.rewrite = Rewrite::Prefix("no path".to_owned()),
            true,
            "answered with 503: the proxies would not take it as it is read: rewrite",
        ),
        (
            |it| it.host_rewrite = HostRewrite::Literal("a b".to_owned()),
            true,
            "answered with 503: the proxies would not take it as it is read: host rewrite",
        ),
        (|it| it.connection.connect_timeout_ms = 0, true, "take the cluster: "),
        (
            |it| Arc::make_mut(&mut it.key).prefix = "no path".to_owned(),
            false,
            "it has no route: the proxies would not take it as it is read: path",
        ),
    ];
    for (spoil, served, told) in table {
        let mut compiler = Compiler::new(Settings::default());
        for name in ["good", "bad"] {
            let spec = json!({"prefix": format!("/{name}/"), "service": "198.18.0.1"});
            compiler.apply(ObjectChange::Emissary(mapping(name), Some(EmissaryObject::new("1", spec))));
        }
        compiler.compile();
        assert_eq!(status(&compiler, "bad").state, State::Running);

        let name = mapping("bad").name;
        let read = compiler.stores.mappings.get_mut(&name).unwrap().value.as_mut().unwrap();
        compiler.groups.remove(&read.key);
        compiler.touched.groups.push(Arc::clone(&read.key));
        spoil(read);
        compiler.groups.entry(Arc::clone(&read.key)).or_default().insert(name);
        compiler.touched.groups.push(Arc::clone(&read.key));
        compiler.compile();

        let Compiled { config, .. } = compiler.compiled();
        assert_eq!(validate(config), Vec::new());
        let routes: Vec<&PathMatch> = config.routes.values().map(|route| &route.path).collect();
        assert!(routes.contains(&&PathMatch::Prefix("/good/".to_owned())), "{routes:?}");
        assert_eq!(routes.len(), 1 + usize::from(served), "{told}: {routes:?}");
        let Status { state, reason } = status(&compiler, "bad");
        assert_eq!(*state, State::Inactive);
        assert!(reason.contains(told), "{reason}");
        assert_eq!(status(&compiler, "good").state, State::Running);
    }
}
