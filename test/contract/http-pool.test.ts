import { describePool } from "./http-pool.ts";

describePool("a pool of HTTP/1 connections", { request: { protocol: "http1" }, alpn: "http/1.1", hop: false, metric: "http1" });
describePool("a pool of HTTP/1 connections to a peer that was offered the hop", { request: { protocol: "http1" }, alpn: "istio-http/1.1", hop: true, metric: "http1" });
describePool("a pool of HTTP/2 connections", { request: { protocol: "http2" }, alpn: "h2", hop: true, metric: "http2" });
describePool("a pool of hops", { request: { protocol: "http1" }, alpn: "outrider", hop: true, metric: "http2" });
