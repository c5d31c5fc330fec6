//! `harvestman demo`: scrapes a small shop that it serves itself.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    net::SocketAddr,
    path::Path,
    process::ExitCode,
};

use clap::Parser;
use harvestman_shop::{Faults, RunningShop, Shop};

use crate::{
    cli::{Cli, Command, DemoArgs, RunArgs},
    run,
    say::error_line,
};

const LIST: &str = "urls.ndjson";
const RESULT: &str = "products.parquet";
const FIELDS: &[&str] =
    &["name:string", "price:number", "currency:string", "brand:string", "availability:string"];

/// Serves the shop and runs a job over it.
pub(crate) async fn main(args: &DemoArgs) -> ExitCode {
    match demo(args).await {
        Ok(code) => code,
        Err(error) => {
            error_line(format_args!("harvestman: {error:#}"));
            ExitCode::from(3)
        }
    }
}

async fn demo(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let shop = open_shop(args)?;
    error_line(format_args!(
        "harvestman: a shop with {} products is open at {}",
        args.products,
        shop.url()
    ));
    if args.serve_only {
        tokio::signal::ctrl_c().await?;
        return Ok(ExitCode::SUCCESS);
    }
    fs::create_dir_all(&args.directory)?;
    let list = args.directory.join(LIST);
    write_list(&list, &shop, args.products)?;
    let command = command(args, &list, shop.address());
    error_line(format_args!("harvestman: running\n\n  {}\n", command.join(" ")));
    let code = run::main(&parse(&command)).await;
    if code == ExitCode::SUCCESS {
        say_how_to_open(&args.directory.join(RESULT));
    }
    shop.stop();
    Ok(code)
}

/// At the same address each time, so that a demo that was killed finds its pages again.
fn open_shop(args: &DemoArgs) -> std::io::Result<RunningShop> {
    let shop = Shop::new().with_products(args.products).with_faults(Faults::demo());
    match shop.clone().start(args.listen) {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            shop.start(SocketAddr::new(args.listen.ip(), 0))
        }
        started => started,
    }
}

fn write_list(path: &Path, shop: &RunningShop, products: u32) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for product in 0..products {
        writeln!(file, "{{\"url\":\"{}\",\"id\":\"{product}\"}}", shop.product_url(product))?;
    }
    file.flush()
}

/// The command that a person would type.
fn command(args: &DemoArgs, list: &Path, shop: SocketAddr) -> Vec<String> {
    let mut command = vec!["harvestman".to_owned(), "run".to_owned(), list.display().to_string()];
    for field in FIELDS {
        command.extend(["--extract".to_owned(), (*field).to_owned()]);
    }
    let result = args.directory.join(RESULT).display().to_string();
    let concurrency = args.concurrency.to_string();
    let allowed = shop.to_string();
    let rest = ["-c", &concurrency, "--allow-address", &allowed, "--output", &result];
    command.extend(rest.map(str::to_owned));
    command
}

fn parse(command: &[String]) -> RunArgs {
    match Cli::parse_from(command).command {
        Command::Run(args) => *args,
        _ => unreachable!("the command was written as a run"),
    }
}

fn say_how_to_open(result: &Path) {
    let result = result.display();
    error_line(format_args!("\nTo look at it:"));
    error_line(format_args!(
        "  python3 -c \"import pandas; print(pandas.read_parquet('{result}'))\""
    ));
    error_line(format_args!("  duckdb -c \"SELECT * FROM '{result}'\""));
}
