//! Compilation of the one route, and what the proxies do with the result.

use super::state::{CanaryArm, Content, Fleet, Image, Objects, PerImage, Proxy, Server, Service, State};

impl Objects {
    /// The route as these objects have it.
    pub(crate) fn compile(&self) -> Content {
        Content {
            stable: self.ready(self.stable),
            canary: self
                .mapping
                .map(|mapping| CanaryArm { weight: mapping.weight, ready: self.ready(self.canary) }),
            stable_version: self.stable.version,
            canary_version: self.canary.version,
            mapping_version: self.mapping.map_or(0, |mapping| mapping.version),
        }
    }

    /// Ready pods behind a Service.
    fn ready(&self, service: Service) -> PerImage<u8> {
        Image::ALL.map(|image| match self.sets[image.index()] {
            Some(set) if service.image.is_none_or(|selected| selected == image) => set.available,
            Some(_) | None => 0,
        })
    }
}

impl Content {
    /// Whether it sends new requests to pods of this image.
    pub(crate) fn routes_to(&self, image: Image) -> bool {
        let stable_share = self.canary.is_none_or(|canary| canary.weight < 100);
        let canary = self.canary.filter(|canary| canary.weight > 0);
        (stable_share && self.stable[image.index()] > 0)
            || canary.is_some_and(|canary| canary.ready[image.index()] > 0)
    }

    /// The weight that it gives to the canary arm.
    pub(crate) fn weight(&self) -> u8 {
        self.canary.map_or(0, |canary| canary.weight)
    }
}

impl Proxy {
    /// What it serves, or may since it was sent.
    pub(crate) fn contents(&self) -> impl Iterator<Item = &Content> {
        self.served.iter().chain(&self.sent)
    }
}

impl Fleet {
    /// Every content that some proxy serves, or may.
    pub(crate) fn contents(&self) -> impl Iterator<Item = &Content> {
        self.proxies.iter().flatten().flat_map(Proxy::contents)
    }

    /// Whether some proxy may send a new request to pods of this image.
    pub(crate) fn routes_to(&self, image: Image) -> bool {
        self.contents().any(|content| content.routes_to(image))
    }
}

impl State {
    /// Sends the newest route to every proxy that has acknowledged its last one.
    pub(crate) fn send(&mut self) {
        if self.fleet.server == Server::Behind {
            return;
        }
        let newest = self.objects.compile();
        for proxy in self.fleet.proxies.iter_mut().flatten() {
            if proxy.sent.is_none() && (proxy.served != Some(newest) || !proxy.known) {
                proxy.sent = Some(newest);
            }
        }
    }

    /// A proxy acknowledges what it was sent.
    pub(crate) fn acknowledge(&mut self, proxy: usize) {
        if let Some(proxy) = &mut self.fleet.proxies[proxy]
            && let Some(sent) = proxy.sent.take()
        {
            proxy.served = Some(sent);
            proxy.known = true;
        }
    }
}
