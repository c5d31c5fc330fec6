//! A real service, with a shop for it to scrape.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Stdio},
};

use harvestman_shop::{RunningShop, Shop};

use crate::scripted::{Place, Said};

/// The key of the service's one workspace.
pub(crate) const KEY: &str = "hd_live_0123456789abcdef0123456789abcdef";

/// A service that runs until it is dropped.
pub(crate) struct Hosted {
    pub(crate) shop: RunningShop,
    pub(crate) url: String,
    pub(crate) place: Place,
    service: Child,
}

impl Hosted {
    pub(crate) fn new(shop: Shop) -> Self {
        let shop = shop.start(([127, 0, 0, 1], 0).into()).unwrap();
        let place = Place::new();
        let words =
            format!("serve --listen 127.0.0.1:0 --data data --allow-address {}", shop.address());
        let mut command = place.command("", &words);
        command.env_remove("HARVESTMAN_URL").env("HARVESTMAN_API_KEYS", format!("acme={KEY}"));
        let mut service = command.stderr(Stdio::inherit()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(service.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        Self { shop, url, place, service }
    }

    /// Runs the program as a client with the key.
    pub(crate) fn run(&self, words: &str, code: i32) -> Said {
        let output = self.place.command(&self.url, words).env("HARVESTMAN_KEY", KEY).output();
        Said::expect(output.unwrap(), words, code)
    }

    /// A list of so many products, with an id each.
    pub(crate) fn write_list(&self, products: u32) {
        let row = |number| format!("{},{number}\n", self.shop.product_url(number));
        self.place
            .write("urls.csv", format!("url,id\n{}", (0..products).map(row).collect::<String>()));
    }
}

impl Drop for Hosted {
    fn drop(&mut self) {
        let _ = self.service.kill();
        let _ = self.service.wait();
    }
}
