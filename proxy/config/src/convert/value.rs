//! Header edits and values, in both directions.

use super::{ConvertError, each, known, required};
use crate::{
    model::{Edit, HeaderEdit, Value, ValuePart, Variable},
    wire::config as wire,
};

// === inward ===

pub(super) fn edits(edits: Vec<wire::HeaderEdit>) -> Result<Vec<HeaderEdit>, ConvertError> {
    each(edits, TryInto::try_into)
}

impl TryFrom<wire::HeaderEdit> for HeaderEdit {
    type Error = ConvertError;

    fn try_from(edit: wire::HeaderEdit) -> Result<Self, ConvertError> {
        let wire::HeaderEdit { name, edit } = edit;
        let edit = match required(edit, || format!("edit of header {name}"), "edit")? {
            wire::header_edit::Edit::Set(value) => Edit::Set(value.try_into()?),
            wire::header_edit::Edit::Add(value) => Edit::Add(value.try_into()?),
            wire::header_edit::Edit::Remove(_) => Edit::Remove,
        };
        Ok(Self { name, edit })
    }
}

impl TryFrom<wire::Value> for Value {
    type Error = ConvertError;

    fn try_from(value: wire::Value) -> Result<Self, ConvertError> {
        let message = || "value".to_owned();
        let part = |part: wire::ValuePart| {
            Ok(match required(part.part, message, "part")? {
                wire::value_part::Part::Text(text) => ValuePart::Text(text),
                wire::value_part::Part::RequestHeader(name) => ValuePart::RequestHeader(name),
                wire::value_part::Part::Variable(variable) => {
                    ValuePart::Variable(variable_of(known(variable, message, "variable")?)?)
                }
            })
        };
        Ok(Self(each(value.parts, part)?))
    }
}

fn variable_of(variable: wire::Variable) -> Result<Variable, ConvertError> {
    Ok(match variable {
        wire::Variable::Unspecified => {
            return Err(ConvertError::Missing { message: "value".to_owned(), field: "variable" });
        }
        wire::Variable::ClientAddress => Variable::ClientAddress,
        wire::Variable::ClientSocket => Variable::ClientSocket,
        wire::Variable::Protocol => Variable::Protocol,
        wire::Variable::Scheme => Variable::Scheme,
        wire::Variable::Method => Variable::Method,
        wire::Variable::Authority => Variable::Authority,
        wire::Variable::Path => Variable::Path,
        wire::Variable::Status => Variable::Status,
        wire::Variable::RequestId => Variable::RequestId,
        wire::Variable::Host => Variable::Host,
        wire::Variable::NormalPath => Variable::NormalPath,
        wire::Variable::NormalTarget => Variable::NormalTarget,
        wire::Variable::Query => Variable::Query,
        wire::Variable::EscapedPath => Variable::EscapedPath,
    })
}

// === outward ===

impl From<&HeaderEdit> for wire::HeaderEdit {
    fn from(edit: &HeaderEdit) -> Self {
        let HeaderEdit { name, edit } = edit;
        let edit = match edit {
            Edit::Set(value) => wire::header_edit::Edit::Set(value.into()),
            Edit::Add(value) => wire::header_edit::Edit::Add(value.into()),
            Edit::Remove => wire::header_edit::Edit::Remove(true),
        };
        Self { name: name.clone(), edit: Some(edit) }
    }
}

impl From<&Value> for wire::Value {
    fn from(value: &Value) -> Self {
        let part = |part: &ValuePart| wire::ValuePart {
            part: Some(match part {
                ValuePart::Text(text) => wire::value_part::Part::Text(text.clone()),
                ValuePart::RequestHeader(name) => wire::value_part::Part::RequestHeader(name.clone()),
                ValuePart::Variable(variable) => {
                    wire::value_part::Part::Variable(wire::Variable::from(*variable).into())
                }
            }),
        };
        Self { parts: value.0.iter().map(part).collect() }
    }
}

impl From<Variable> for wire::Variable {
    fn from(variable: Variable) -> Self {
        match variable {
            Variable::ClientAddress => Self::ClientAddress,
            Variable::ClientSocket => Self::ClientSocket,
            Variable::Protocol => Self::Protocol,
            Variable::Scheme => Self::Scheme,
            Variable::Method => Self::Method,
            Variable::Authority => Self::Authority,
            Variable::Path => Self::Path,
            Variable::Status => Self::Status,
            Variable::RequestId => Self::RequestId,
            Variable::Host => Self::Host,
            Variable::NormalPath => Self::NormalPath,
            Variable::NormalTarget => Self::NormalTarget,
            Variable::Query => Self::Query,
            Variable::EscapedPath => Self::EscapedPath,
        }
    }
}
