//! `set image`: new images in a pod template.

use std::str::FromStr;

use serde_json::Value;

/// `CONTAINER=IMAGE` of the command line. The container `*` means all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerImage {
    container: String,
    image: String,
}

/// Why a text is not `CONTAINER=IMAGE`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected CONTAINER=IMAGE")]
pub struct NotAnAssignment;

/// No container, init container or ephemeral container has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unable to find container named {0:?}")]
pub struct NoSuchContainer(String);

impl FromStr for ContainerImage {
    type Err = NotAnAssignment;

    fn from_str(text: &str) -> Result<Self, NotAnAssignment> {
        let (container, image) = text.split_once('=').ok_or(NotAnAssignment)?;
        if container.is_empty() || image.is_empty() || image.contains('=') {
            return Err(NotAnAssignment);
        }
        Ok(Self { container: container.to_owned(), image: image.to_owned() })
    }
}

/// Sets the images in the pod template at `spec.template` of a workload. Everything else stays as it is, also fields
/// that this version does not know. On error the workload may be half changed and must not be written.
pub fn set_images(workload: &mut Value, images: &[ContainerImage]) -> Result<(), NoSuchContainer> {
    images.iter().try_for_each(|image| set_image(workload, image))
}

fn set_image(workload: &mut Value, wanted: &ContainerImage) -> Result<(), NoSuchContainer> {
    let mut found = false;
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        let containers = workload.pointer_mut(&format!("/spec/template/spec/{list}"));
        for container in containers.and_then(Value::as_array_mut).into_iter().flatten() {
            let is_wanted =
                wanted.container == "*" || container.get("name") == Some(&Value::from(&*wanted.container));
            if let (true, Some(fields)) = (is_wanted, container.as_object_mut()) {
                fields.insert("image".to_owned(), Value::from(&*wanted.image));
                found = true;
            }
        }
    }
    if found { Ok(()) } else { Err(NoSuchContainer(wanted.container.clone())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_needs_a_container_and_an_image() {
        for text in ["", "web", "=shop:v2", "web=", "web=a=b"] {
            assert_eq!(text.parse::<ContainerImage>(), Err(NotAnAssignment), "{text:?}");
        }
        assert!("*=registry:5000/shop@sha256:00".parse::<ContainerImage>().is_ok());
    }
}
