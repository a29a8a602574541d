//! Records to bytes and back: what every request and every reply pays.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ferrokeeper::proto::client::{
    CreateRequest, GetChildrenResponse, GetDataRequest, GetDataResponse, ReplyHeader,
    RequestHeader, SetDataRequest,
};

use ferrokeeper::proto::{Acl, ErrorCode, Id, OpCode, Stat};
use jute::{Buffer, Text};

const PATH: &str = "/service/members/member-0000000042";

fn bytes(record: &impl serde::Serialize) -> Vec<u8> {
    jute::to_vec(record).expect("a record of the protocol fits the format")
}

fn requests(c: &mut Criterion) {
    let data = [7u8; 100];
    let header = bytes(&RequestHeader {
        xid: 1,
        op: OpCode::GET_DATA,
    });
    let get = bytes(&GetDataRequest {
        path: Text::from(PATH),
        watch: false,
    });
    let set = bytes(&SetDataRequest {
        path: Text::from(PATH),
        data: Buffer::from(&data[..]),
        version: -1,
    });
    let anyone = Acl {
        perms: 31,
        id: Id {
            scheme: Text::from("world"),
            id: Text::from("anyone"),
        },
    };
    let create = bytes(&CreateRequest {
        path: Text::from(PATH),
        data: Buffer::from(&data[..]),
        acl: Some(vec![anyone]),
        flags: 0,
    });

    let mut group = c.benchmark_group("decode");
    group.throughput(Throughput::Elements(1));
    group.bench_function("header and getData", |b| {
        b.iter(|| {
            let header: RequestHeader =
                jute::from_slice(black_box(&header)).expect("a valid record");
            let body: GetDataRequest<'_> =
                jute::from_slice(black_box(&get)).expect("a valid record");
            black_box((header, body));
        })
    });
    group.bench_function("setData of 100 bytes", |b| {
        b.iter(|| black_box(jute::from_slice::<SetDataRequest<'_>>(black_box(&set)).is_ok()))
    });
    group.bench_function("create of 100 bytes", |b| {
        b.iter(|| black_box(jute::from_slice::<CreateRequest<'_>>(black_box(&create)).is_ok()))
    });
    group.finish();
}

fn replies(c: &mut Criterion) {
    let data = [7u8; 100];
    let header = ReplyHeader {
        xid: 1,
        zxid: 1 << 32,
        err: ErrorCode::OK,
    };
    let got = GetDataResponse {
        data: Buffer::from(&data[..]),
        stat: Stat::default(),
    };
    let names: Vec<String> = (0..100).map(|n| format!("child-{n:06}")).collect();
    let listed = GetChildrenResponse {
        children: names.iter().map(|n| Text::from(n.as_str())).collect(),
    };
    let mut out = Vec::with_capacity(1 << 16);

    let mut group = c.benchmark_group("encode");
    group.throughput(Throughput::Elements(1));
    group.bench_function("header and getData of 100 bytes", |b| {
        b.iter(|| {
            out.clear();
            jute::write(&mut out, black_box(&header)).expect("a vector has room");
            jute::write(&mut out, black_box(&got)).expect("a vector has room");
            black_box(out.len())
        })
    });
    group.bench_function("getChildren of 100", |b| {
        b.iter(|| {
            out.clear();
            jute::write(&mut out, black_box(&listed)).expect("a vector has room");
            black_box(out.len())
        })
    });
    group.finish();
}

criterion_group!(benches, requests, replies);
criterion_main!(benches);
