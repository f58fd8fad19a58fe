#!/usr/bin/env python3
"""The ten services that workflow.yaml calls, in one small HTTP server. Answers are made up, and the same for the same
request. Every call is written down twice as a line of JSON, when it comes in and when it was answered:

    {"event":"call","call":1,"time":…,"path":"/keywords/search","key":"…","trace":"…","body":{…}}
    {"event":"answer","call":1,"time":…,"status":200,"success":true,"delivered":true}

`key` is the Idempotency-Key and `trace` the X-Request-ID of the request. `delivered` is false if the caller had gone
away before the answer was ready.
"""

import argparse
import hashlib
import json
import os
import signal
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Refused(Exception):
    """The request lacks what the service needs; the text says what."""


def want(body, name, kind):
    value = body.get(name)
    if not isinstance(value, kind) or not value:
        raise Refused(f"{name} is missing, empty or of the wrong type")
    return value


def number(text, below):
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") % below


def search_keyword(body):
    words = ["무선 청소기", "보온 텀블러", "캠핑 의자", "블루투스 이어폰", "가습기"]
    return {"keyword": words[number(want(body, "tag", str), len(words))]}


def search_products(body):
    keyword = want(body, "keyword", str)
    return {"search_results": [{"id": i, "title": f"{keyword} {i}호", "price": 10_000 + number(f"{keyword}{i}", 90_000),
                                # One in four has no page of its own.
                                "url": f"https://shop.example/items/{i}" if i % 4 else ""} for i in range(1, 9)]}


def match_products(body):
    keyword = want(body, "keyword", str)
    found = [product for product in want(body, "search_results", list) if keyword in product["title"]]
    return {"matched_products": found}


def rank_products(body):
    keyword = want(body, "keyword", str)
    products = want(body, "matched_products", list)
    ranked = [dict(product, similarity=round(0.5 + number(keyword + product["title"], 500) / 1000, 3)) for product in products]
    ranked.sort(key=lambda product: (-product["similarity"], product["id"]))
    return {"top_products": ranked[:5]}


def crawl_products(body):
    urls = want(body, "product_urls", list)
    if not all(isinstance(url, str) and url for url in urls):
        raise Refused("product_urls holds an empty address")
    return {"crawled_products": [{"url": url, "title": f"상품 {url.rsplit('/', 1)[-1]}",
                                  "images": [f"{url}/{n}.jpg" for n in range(1, 3 + number(url, 4))]} for url in urls]}


def upload_images(body):
    folder = want(body, "base_folder", str)
    images = [image for product in want(body, "crawled_products", list) for image in product["images"]]
    return {"uploaded_count": len(images), "folder": f"{folder}/{number(json.dumps(images), 10_000):04}"}


def select_product(body):
    criteria = want(body, "selection_criteria", str)
    return {"selected_product": {"id": 1 + number(criteria, 8), "criteria": criteria}}


def read_images(body):
    keyword = want(body, "keyword", str)
    if "translation_language" in body:
        want(body, "translation_language", str)  # null or empty: the caller should have left it out
    return {"product_info": {"keyword": keyword, "text": f"{keyword}: 가볍고 오래 갑니다.",
                             "language": body.get("translation_language", "ko")}}


def write_post(body):
    info = want(body, "product_info", dict)
    return {"post_title": f"{info['keyword']} 추천", "post_content": f"<p>{info['text']}</p>",
            "post_tags": [info["keyword"], "추천", "후기"]}


def publish_post(body):
    title = want(body, "post_title", str)
    want(body, "post_content", str)
    want(body, "post_tags", list)
    return {"post_url": f"https://blog.example/{want(body, 'tag', str)}/{1000 + number(title, 9000)}"}


SERVICES = {
    "/keywords/search": search_keyword,
    "/products/search": search_products,
    "/products/match": match_products,
    "/products/similarity": rank_products,
    "/products/crawl": crawl_products,
    "/images/upload": upload_images,
    "/products/select": select_product,
    "/images/ocr": read_images,
    "/blogs/write": write_post,
    "/blogs/publish": publish_post,
}


class Worker(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port, log=None, delays=None, default_delay=0.0, failures=None):
        super().__init__(("127.0.0.1", port), Handler)
        self.log = log
        self.delays, self.default_delay = delays or {}, default_delay
        self.failures = failures or {}  # path -> [calls left to fail, in which way]
        self.calls = 0
        self.lock = threading.Lock()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def next_call(self):
        with self.lock:
            self.calls += 1
            return self.calls

    def failure(self, path):
        """How this call has to fail: "500", "false" or None."""
        with self.lock:
            entry = self.failures.get(path)
            if not entry or entry[0] == 0:
                return None
            entry[0] -= 1
            return entry[1]

    def write_down(self, **line):
        text = json.dumps(line, ensure_ascii=False, separators=(",", ":"))
        with self.lock:
            if self.log:
                self.log.write(text + "\n")
                self.log.flush()

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):  # callers may go away at any time
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Worker

    def log_message(self, *_):
        pass  # the log of calls says more

    def do_POST(self):
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            body = json.loads(raw or b"{}")
        except ValueError:
            body = None
        call = self.server.next_call()
        self.server.write_down(event="call", call=call, time=round(time.time(), 3), path=self.path,
                               key=self.headers.get("Idempotency-Key"), trace=self.headers.get("X-Request-ID"), body=body)
        status, answer = self.work(body)
        time.sleep(self.server.delays.get(self.path, self.server.default_delay))
        delivered = self.caller_is_there()
        self.server.write_down(event="answer", call=call, time=round(time.time(), 3), status=status,
                               success=answer["success"], delivered=delivered)
        if not delivered:
            self.close_connection = True
            return
        text = json.dumps(answer, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def work(self, body):
        if not isinstance(body, dict):
            return 400, {"success": False, "message": "the body is no JSON object"}
        service = SERVICES.get(self.path)
        if not service:
            return 404, {"success": False, "message": f"there is no {self.path}"}
        failure = self.server.failure(self.path)
        if failure:
            return (500 if failure == "500" else 200), {"success": False, "message": "out of order, try again"}
        try:
            return 200, {"success": True, "data": service(body)}
        except Refused as error:
            return 422, {"success": False, "message": str(error)}

    def caller_is_there(self):
        try:
            return self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False


def options():
    parser = argparse.ArgumentParser(description="the services that the product-blog workflow calls")
    parser.add_argument("--port", type=int, default=8000, help="0: any free one, which is printed (default 8000)")
    parser.add_argument("--log", metavar="FILE", help="append calls to FILE; default: standard output")
    parser.add_argument("--delay", action="append", default=[], metavar="[PATH=]SECONDS",
                        help="how long answers take, all of them or those of one path")
    parser.add_argument("--fail", action="append", default=[], metavar="PATH=N[:false]",
                        help="the first N calls answer 500, or 200 with success false")
    parser.add_argument("--while-stdin-is-open", action="store_true",
                        help="stop when standard input ends, and so with the program that started this one")
    return parser.parse_args()


def main():
    chosen = options()
    delays, default_delay, failures = {}, 0.0, {}
    for text in chosen.delay:
        path, _, seconds = text.rpartition("=")
        if path:
            delays[path] = float(seconds)
        else:
            default_delay = float(seconds)
    for text in chosen.fail:
        path, _, count = text.rpartition("=")
        times, _, way = count.partition(":")
        failures[path] = [int(times), way or "500"]

    log = open(chosen.log, "a", encoding="utf-8") if chosen.log else sys.stdout
    worker = Worker(chosen.port, log, delays, default_delay, failures)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    if chosen.while_stdin_is_open:
        threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(0)), daemon=True).start()
    print(f"listening on {worker.url}", flush=True, file=sys.stderr if not chosen.log else sys.stdout)
    worker.serve_forever()


if __name__ == "__main__":
    main()
