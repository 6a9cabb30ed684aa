"""The Python action runtime: one process per action, started by the embedded OpenWhisk as `python3 python.py CONNECTIONS`.

It speaks the platform's runtime contract (HTTP, POST /init and POST /run) on the sockets that it inherits as file
descriptors 3, 4, …, and ends with them. Status codes and texts are those of apache/openwhisk-runtime-python.
"""
import base64
import io
import json
import os
import socket
import sys
import threading
import traceback
import zipfile
from http.server import BaseHTTPRequestHandler

SENTINEL = "XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX"
action = None


def init(message):
    global action
    value = message.get("value") or {}
    code, main = value.get("code"), value.get("main") or "main"
    if action is not None:
        return 403, {"error": "Cannot initialize the action more than once."}
    if not code:
        return 403, {"error": "Missing main/no code to execute."}
    for name, text in (value.get("env") or {}).items():
        os.environ[name] = text if isinstance(text, str) else json.dumps(text)
    try:
        action = load(code, main, value.get("binary"))
        return 200, {"ok": True}
    except BaseException:
        traceback.print_exc()
        end_logs()
        return 502, {"error": "The action failed to generate or locate a binary. See logs for details."}


def load(code, main, binary):
    module = {"__name__": "main__", "__builtins__": __builtins__}
    name = "main__.py"
    if binary:
        folder = os.path.join(os.getcwd(), "action")
        zipfile.ZipFile(io.BytesIO(base64.b64decode(code))).extractall(folder)
        os.chdir(folder)
        sys.path.insert(0, folder)
        name = os.path.join(folder, "__main__.py")
        with open(name, encoding="utf-8") as file:
            code = file.read()
    exec(compile(code, name, "exec"), module)
    return module[main]


def run(message):
    if action is None:
        return 403, {"error": "System not initialized."}
    for name, text in message.items():
        if name != "value" and isinstance(text, str):
            os.environ["__OW_" + name.upper()] = text
    try:
        result = action(message.get("value") or {})
    except SystemExit:
        os._exit(1)
    except BaseException as error:
        traceback.print_exc()
        result = {"error": str(error)}
    if not isinstance(result, (dict, list)):
        return 502, {"error": "The action did not return a dictionary or array."}
    return 200, result


def end_logs():
    for stream in (sys.stdout, sys.stderr):
        print(SENTINEL, file=stream, flush=True)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        status, answer = init(message) if self.path == "/init" else run(message)
        try:
            body = json.dumps(answer).encode()
        except (TypeError, ValueError):
            traceback.print_exc()
            status, body = 502, b'{"error": "The action did not return a dictionary or array."}'
        if self.path == "/run":
            end_logs()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def serve(connection):
    try:
        Handler(connection, "host", None)
    finally:
        os._exit(0)


connections = int(sys.argv[1])
for fd in range(4, 3 + connections):
    threading.Thread(target=serve, args=(socket.socket(fileno=fd),), daemon=True).start()
serve(socket.socket(fileno=3))
