//! What functions take and give, as far as it is known before they are called.

use crate::expression::{Problem, kind::Kind};

/// What all arguments have to be.
enum Takes {
    Anything,
    /// A number, in Argo's own functions: an argument of another type cannot be used.
    Float,
    Texts,
    /// What has a length.
    Sized,
    /// A number, in expr-lang's functions.
    Number,
    NumberOrText,
    /// Numbers, or lists of them.
    Numbers,
    List,
    Map,
    /// A list or a map.
    Indexed,
}

/// Whether a name is a function that Argo adds; it may be named without being called.
pub(crate) fn is_ours(name: &str) -> bool {
    matches!(name, "asInt" | "asFloat" | "isNaN" | "isInf" | "isNil" | "default")
}

/// Least and most arguments, what they are, and what comes out.
fn table(function: &str) -> Option<(usize, usize, Takes, Kind)> {
    use Takes::{Anything, Float, Indexed, List, Map, Number, NumberOrText, Numbers, Sized, Texts};
    let list = |of| Kind::List(Box::new(of));
    Some(match function {
        "asInt" => (1, 1, Anything, Kind::Int64),
        "asFloat" => (1, 1, Anything, Kind::Float),
        "isNaN" | "isInf" => (1, 1, Float, Kind::Bool),
        "isNil" => (1, 1, Anything, Kind::Bool),
        "default" => (2, 2, Anything, Kind::Unknown),
        "len" => (1, 1, Sized, Kind::Int),
        "type" | "string" | "toJSON" => (1, 1, Anything, Kind::String),
        "abs" => (1, 1, Number, Kind::Unknown),
        "ceil" | "floor" | "round" => (1, 1, Number, Kind::Float),
        "int" => (1, 1, NumberOrText, Kind::Int),
        "float" => (1, 1, NumberOrText, Kind::Float),
        "max" | "min" => (1, 64, Numbers, Kind::Unknown),
        "mean" | "median" => (1, 64, Numbers, Kind::Float),
        "bitnot" => (1, 1, Number, Kind::Int),
        "bitand" | "bitor" | "bitxor" | "bitnand" | "bitshl" | "bitshr" | "bitushr" => {
            (2, 2, Number, Kind::Int)
        }
        "upper" | "lower" => (1, 1, Texts, Kind::String),
        "trim" | "trimPrefix" | "trimSuffix" => (1, 2, Texts, Kind::String),
        "split" | "splitAfter" => (2, 3, Anything, list(Kind::String)),
        "replace" => (3, 4, Anything, Kind::String),
        "repeat" => (2, 2, Anything, Kind::String),
        "join" => (1, 2, Anything, Kind::String),
        "indexOf" | "lastIndexOf" => (2, 2, Texts, Kind::Int),
        "hasPrefix" | "hasSuffix" => (2, 2, Texts, Kind::Bool),
        "fromJSON" => (1, 1, Texts, Kind::Unknown),
        "first" | "last" => (1, 1, List, Kind::Unknown),
        "get" => (2, 2, Indexed, Kind::Unknown),
        "take" => (2, 2, Anything, list(Kind::Unknown)),
        "keys" | "values" => (1, 1, Map, list(Kind::Unknown)),
        "reverse" | "uniq" | "flatten" => (1, 1, List, list(Kind::Unknown)),
        "sort" => (1, 2, Anything, list(Kind::Unknown)),
        "concat" => (1, 64, List, list(Kind::Unknown)),
        "now" => (0, 1, Anything, Kind::Time),
        "date" => (1, 3, Texts, Kind::Time),
        "duration" => (1, 1, Texts, Kind::Span),
        _ => return None,
    })
}

/// What a call gives, if its arguments fit.
pub(crate) fn signature(function: &str, kinds: &[Kind]) -> Result<Kind, Problem> {
    let Some((least, most, takes, gives)) = table(function) else {
        return Err(Problem(format!("unknown name {function}")));
    };
    if kinds.len() < least {
        return Err(Problem(format!("not enough arguments to call {function}")));
    }
    if kinds.len() > most {
        return Err(Problem(format!("too many arguments to call {function}")));
    }
    for kind in kinds {
        fits(function, &takes, kind)?;
        if matches!(takes, Takes::Indexed) {
            break;
        }
    }
    Ok(match (function, kinds) {
        ("abs", [kind]) => kind.clone(),
        ("first" | "last", [list]) => list.element(),
        ("max" | "min", kinds) if kinds.iter().all(Kind::is_number) => kinds[0].clone(),
        _ => gives,
    })
}

fn fits(function: &str, takes: &Takes, kind: &Kind) -> Result<(), Problem> {
    if kind.is_unknown() {
        return Ok(());
    }
    let unusable =
        |wanted: &str| format!("cannot use {kind} as argument (type {wanted}) to call {function} ");
    let invalid = || format!("invalid argument for {function} (type {kind})");
    let text = *kind == Kind::String;
    let map = matches!(kind, Kind::Map | Kind::Groups);
    let (fits, problem) = match takes {
        Takes::Anything => return Ok(()),
        Takes::Float => (kind.is_number(), unusable("float64")),
        Takes::Texts => (text, unusable("string")),
        Takes::Sized => (text || map || kind.is_list(), invalid()),
        Takes::Number => (kind.is_number(), invalid()),
        Takes::NumberOrText => (kind.is_number() || text, invalid()),
        Takes::Numbers => (kind.is_number() || kind.is_list(), invalid()),
        Takes::Map => (map, format!("cannot get {function} from {kind}")),
        Takes::Indexed => (map || kind.is_list(), format!("type {kind} does not support indexing")),
        Takes::List => (kind.is_list(), format!("cannot {function} {kind}")),
    };
    if fits { Ok(()) } else { Err(Problem(problem)) }
}
