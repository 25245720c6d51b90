//! Servers on loopback with given responses, for tests without an installed server.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

/// A request, with its path and query.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) target: String,
    pub(crate) body: String,
}

/// The response to a request.
#[derive(Clone, Debug)]
pub(crate) enum Response {
    Json(String),
    Status(&'static str, String),
    /// No response for three seconds.
    Silence,
}

/// Serves requests at once until the process ends. Returns the URL.
pub(crate) fn serve(response: impl Fn(&Request) -> Response + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let response = Arc::new(response);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let response = Arc::clone(&response);
            std::thread::spawn(move || {
                let request = read(&client)?;
                respond(client, response(&request))
            });
        }
    });
    url
}

fn read(client: &TcpStream) -> std::io::Result<Request> {
    let mut reader = BufReader::new(client);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? <= 2 {
            break;
        }
        if let Some(bytes) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = bytes.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let target = first.split(' ').nth(1).unwrap_or_default().to_owned();
    Ok(Request { target, body: String::from_utf8(body).unwrap() })
}

fn respond(mut client: TcpStream, response: Response) -> std::io::Result<()> {
    let (status, body) = match response {
        Response::Json(body) => ("200 OK", body),
        Response::Status(status, body) => (status, body),
        Response::Silence => {
            std::thread::sleep(Duration::from_secs(3));
            return Ok(());
        }
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    client.write_all((head + &body).as_bytes())
}

/// A metric of Gnocchi with one measure.
#[derive(Clone, Debug)]
pub(crate) struct Metric {
    pub(crate) name: String,
    /// The ids of the resource and its project, as Ceilometer sent them; or the `resource_id` of a metric without a
    /// resource.
    pub(crate) resource: Result<[Value; 2], Value>,
    /// An attribute of the resource.
    pub(crate) plan: String,
    pub(crate) at: String,
    /// The value as JSON.
    pub(crate) value: String,
    /// The granularity and the aggregation method of the archive policy.
    pub(crate) policy: (&'static str, &'static str),
}

impl Metric {
    /// A metric of the project `p` with a value at 2026-10-05 10:00.
    pub(crate) fn new(name: &str, resource: &str, value: &str) -> Self {
        Self {
            name: name.to_owned(),
            resource: Ok([json!(resource), json!("p")]),
            plan: String::new(),
            at: "2026-10-05T10:00:00+00:00".to_owned(),
            value: value.to_owned(),
            policy: ("0:05:00", "sum"),
        }
    }
}

/// The ids in Gnocchi of a metric and of its resource.
pub(crate) fn gnocchi_ids(number: usize) -> (String, String) {
    (format!("4d000000-0000-4000-8000-{number:012}"), format!("5e000000-0000-4000-8000-{number:012}"))
}

/// The response of a Gnocchi with these metrics, whose ids have the numbers of the list.
pub(crate) fn gnocchi(metrics: &[Metric], request: &Request) -> Response {
    let metrics = || metrics.iter().zip(0..).map(|(metric, number)| (metric, gnocchi_ids(number)));
    let rows: Vec<Value> = if let Some((_, name)) = request.target.split_once("/v1/metric?name=") {
        let name = name.split('&').next().unwrap();
        let row = |(metric, (id, resource_id)): (&Metric, (String, String))| {
            let (granularity, method) = metric.policy;
            let definition = json!([{ "granularity": granularity, "timespan": "90 days, 0:00:00", "points": 25920 }]);
            let policy = json!({ "name": "low", "definition": definition, "aggregation_methods": [method] });
            let resource_id = metric.resource.as_ref().map_or_else(Clone::clone, |_| json!(resource_id));
            json!({
                "id": id, "name": metric.name, "unit": "u", "resource_id": resource_id, "archive_policy": policy,
            })
        };
        metrics().filter(|(metric, _)| metric.name == name).map(row).collect()
    } else if request.target.contains("/v1/search/resource/") {
        let row = |(metric, (_, id)): (&Metric, (String, String))| {
            let [original_id, project] = metric.resource.as_ref().ok()?;
            Some(json!({
                "id": id, "original_resource_id": original_id, "project_id": project, "type": "instance",
                "started_at": "2026-10-01T00:00:00+00:00", "ended_at": null, "plan": metric.plan,
                "revision_start": "2026-10-01T00:00:00+00:00", "revision_end": null,
            }))
        };
        metrics().filter_map(row).collect()
    } else {
        let of_metric = |(metric, (id, _)): (&Metric, (String, String))| {
            let measure = format!("[\"{}\", 300.0, {}]", metric.at, metric.value);
            request.body.contains(&id).then(|| format!("\"{id}\": {{\"{}\": [{measure}]}}", metric.policy.1))
        };
        let measures: Vec<String> = metrics().filter_map(of_metric).collect();
        return Response::Json(format!("{{\"measures\": {{{}}}}}", measures.join(", ")));
    };
    Response::Json(Value::from(rows).to_string())
}

/// A series of Prometheus: its labels, and its samples as time and value.
pub(crate) type Series = (Value, Vec<(i64, String)>);

/// The response of a Prometheus with series of one metric.
pub(crate) fn prometheus(metric: &str, series: &[Series], request: &Request) -> Response {
    if request.target.contains("/label/") {
        return Response::Json(json!({ "status": "success", "data": [metric] }).to_string());
    }
    let result: Vec<Value> =
        series.iter().map(|(labels, values)| json!({ "metric": labels, "values": values })).collect();
    let data = json!({ "resultType": "matrix", "result": result });
    Response::Json(json!({ "status": "success", "data": data }).to_string())
}
