//! `healthcheck`: ask the service that runs here how it is. An image without a shell has no other way.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use super::Failure;
use super::settings::HealthcheckSettings;

/// How long connecting, asking and being answered may take, each.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) fn run(settings: &HealthcheckSettings) -> Result<(), Failure> {
    let address = settings.listen.address()?;
    let path = if settings.ready { "/-/ready" } else { "/-/healthy" };
    let status = ask(address, path)
        .map_err(|error| Failure::Failed(format!("http://{address}{path} does not answer: {error}")))?;
    if status.split(' ').nth(1) == Some("200") {
        return Ok(());
    }
    Err(Failure::Failed(format!("http://{address}{path} answers {}", status.trim_end())))
}

/// Who listens on every address is reached on the loopback ones, of which a container often has only the older.
fn reachable(address: SocketAddr) -> Vec<SocketAddr> {
    let at = |ip| SocketAddr::new(ip, address.port());
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => vec![at(Ipv4Addr::LOCALHOST.into())],
        IpAddr::V6(ip) if ip.is_unspecified() => {
            vec![at(Ipv6Addr::LOCALHOST.into()), at(Ipv4Addr::LOCALHOST.into())]
        }
        IpAddr::V4(_) | IpAddr::V6(_) => vec![address],
    }
}

/// A connection to the first of these that takes one.
fn connect(addresses: &[SocketAddr]) -> std::io::Result<TcpStream> {
    let mut result = Err(std::io::ErrorKind::AddrNotAvailable.into());
    for address in addresses {
        result = TcpStream::connect_timeout(address, PATIENCE);
        if result.is_ok() {
            break;
        }
    }
    result
}

/// The first line of the answer.
fn ask(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = connect(&reachable(address))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut status = String::new();
    BufReader::new(stream).read_line(&mut status)?;
    Ok(status)
}
