"""Prepares moto: two buckets, a service that may take on roles, and a role.

moto.py URL prepare EXTERNAL_ID   makes all of it, has permissions enforced from then on, prints keys
"""

import json
import sys
import urllib.request

import boto3

url, command, argument = sys.argv[1:]
root = dict(endpoint_url=url, region_name="us-east-1")
root |= dict(aws_access_key_id="root", aws_secret_access_key="root")


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


def prepare(external_id):
    iam, s3 = boto3.client("iam", **root), boto3.client("s3", **root)
    for bucket in ("lists", "results"):
        s3.create_bucket(Bucket=bucket)
    condition = {"StringEquals": {"sts:ExternalId": external_id}}
    trust = policy("sts:AssumeRole", Principal={"AWS": "*"}, Condition=condition)
    role = iam.create_role(RoleName="team", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    iam.put_role_policy(
        RoleName="team", PolicyName="p", PolicyDocument=policy("s3:*", Resource="*")
    )
    nothing = iam.create_role(RoleName="nothing", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    made = {
        "service": key(iam, "service", "sts:AssumeRole"),
        "admin": key(iam, "admin", "s3:*"),
        "role": role,
        "nothing": nothing,
    }
    enforce = urllib.request.Request(
        url + "/moto-api/reset-auth", data=b"0", headers={"Content-Type": "text/plain"}
    )
    urllib.request.urlopen(enforce).read()
    print(json.dumps(made))


if command == "prepare":
    prepare(argument)
