"""Wherever AWS's own tools find credentials, the installed command finds them; and a failure says what to do."""

from __future__ import annotations

import json
import sys
from hashlib import sha256

import pexpect
import pytest

from tests.boundary.aws.endpoints import at, error, xml_error

SSO = """
[profile work]
sso_session = company
sso_account_id = 111122223333
sso_role_name = dev
region = us-east-1

[sso-session company]
sso_region = us-east-1
sso_start_url = https://company.example/start
"""
LEGACY_SSO = """
[profile work]
sso_start_url = https://company.example/start
sso_region = us-east-1
sso_account_id = 111122223333
sso_role_name = dev
"""
REGISTERED = {"clientId": "c", "clientSecret": "s", "registrationExpiresAt": at(86400), "refreshToken": "first"}
KEYS = "[base]\naws_access_key_id = BASEKEY0000000000001\naws_secret_access_key = s\n"
ROLE = """
[profile work]
role_arn = arn:aws:iam::111122223333:role/dev
{}
"""
MFA = ROLE.format("source_profile = base\nmfa_serial = arn:aws:iam::111122223333:mfa/me")


@pytest.fixture(autouse=True)
def _works(customer):
    customer.environment["AWS_PROFILE"] = "work"


# Single sign-on ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("config", "cached"), [(SSO, "company"), (LEGACY_SSO, "https://company.example/start")])
def test_a_login_by_sso_works_with_both_forms_of_profile(customer, endpoints, is_in, config, cached):
    customer.configures(config)
    customer.has_token(cached, accessToken="cached", expiresAt=at(3600))
    is_in(customer.lists(), "SSOKEY")
    [asked] = endpoints.of("sso")
    assert asked.headers["x-amz-sso_bearer_token"] == "cached"
    assert (asked.said["account_id"], asked.said["role_name"]) == ("111122223333", "dev")


def test_the_keys_of_an_sso_role_serve_the_next_command_too(customer, endpoints, is_in):
    customer.configures(SSO)
    customer.has_token("company", accessToken="cached", expiresAt=at(3600))
    for _ in range(2):
        is_in(customer.lists(), "SSOKEY")
    assert len(endpoints.of("sso")) == 1
    assert len(set(endpoints.keys)) == 1
    [kept] = (customer.home / ".aws/cli/cache").iterdir()
    assert kept.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("broken", ["{", "[]", "{}", '{"Credentials": {}}'])
def test_kept_keys_that_cannot_be_read_are_got_again(customer, endpoints, is_in, broken):
    customer.configures(SSO)
    customer.has_token("company", accessToken="cached", expiresAt=at(3600))
    is_in(customer.lists(), "SSOKEY")
    [kept] = (customer.home / ".aws/cli/cache").iterdir()
    kept.write_text(broken)
    is_in(customer.lists(), "SSOKEY")
    assert len(endpoints.of("sso")) == 2


def test_keys_that_cannot_be_kept_are_no_error(customer, is_in):
    customer.configures(SSO)
    customer.has_token("company", accessToken="cached", expiresAt=at(3600))
    customer.writes(".aws/cli", "in the way")
    is_in(customer.lists(), "SSOKEY")


def test_an_expired_sso_token_is_renewed(customer, endpoints, is_in):
    customer.configures(SSO)
    token = customer.has_token("company", accessToken="old", expiresAt=at(-60), **REGISTERED)
    is_in(customer.lists(), "SSOKEY")
    assert endpoints.of("oidc")[0].said["refreshToken"] == "first"
    assert endpoints.of("sso")[0].headers["x-amz-sso_bearer_token"] == "renewed"
    assert json.loads(token.read_text())["refreshToken"] == "next"


@pytest.mark.parametrize(
    "token",
    [
        {"accessToken": "old", "expiresAt": at(-60)},
        {"accessToken": "old", "expiresAt": at(-60), **REGISTERED},
        {"accessToken": "old", "expiresAt": at(-60), **REGISTERED, "registrationExpiresAt": at(-60)},
        {"accessToken": "revoked", "expiresAt": at(3600)},
        {"accessToken": "old", "expiresAt": "some day"},
        {},
        None,
    ],
)
def test_a_login_that_has_ended_says_how_to_log_in(customer, endpoints, is_told, token):
    customer.configures(SSO)
    if token is not None:
        customer.has_token("company", **token)
    endpoints.instead["oidc"] = lambda _: error("InvalidGrantException")
    endpoints.instead["sso"] = lambda _: error("UnauthorizedException", status=401)
    is_told(customer.lists(), "cannot log in to AWS: ", "Run `aws sso login --profile work`.")


def test_a_legacy_login_that_has_ended_says_how_to_log_in(customer, is_told):
    customer.configures(LEGACY_SSO)
    customer.has_token("https://company.example/start", accessToken="old", expiresAt=at(-60))
    is_told(customer.lists(), "Run `aws sso login --profile work`.")


def test_the_login_named_is_that_of_the_profile_that_a_role_is_assumed_from(customer, is_told):
    customer.configures(SSO.replace("profile work", "profile entry") + ROLE.format("source_profile = entry"))
    is_told(customer.lists(), "Run `aws sso login --profile entry`.")


def test_the_default_profile_needs_not_be_named(customer, is_told):
    del customer.environment["AWS_PROFILE"]
    customer.configures(SSO.replace("profile work", "default"))
    is_told(customer.lists(), "Run `aws sso login`.")


def test_an_sso_role_that_one_may_not_use_is_no_matter_of_logging_in(customer, endpoints, is_told):
    customer.configures(SSO)
    customer.has_token("company", accessToken="cached", expiresAt=at(3600))
    endpoints.instead["sso"] = lambda _: error("ForbiddenException", "No access", 403)
    is_told(customer.lists(), "No access (ForbiddenException)", "sso_account_id and sso_role_name of the profile work")


def test_a_profile_that_lacks_something_is_to_be_corrected(customer, is_told):
    customer.configures(SSO.replace("sso_start_url", "other"))
    is_told(customer.lists(), "missing required configuration: sso_start_url", "Correct the file")


def test_sso_that_cannot_be_reached_is_a_matter_of_the_network(customer, is_told):
    customer.configures(SSO)
    customer.has_token("company", accessToken="cached", expiresAt=at(3600))
    customer.environment["AWS_ENDPOINT_URL_SSO"] = "http://127.0.0.1:9"
    customer.environment["AWS_MAX_ATTEMPTS"] = "1"
    is_told(customer.lists(), "Could not connect to the endpoint URL", "Check the network")


# `aws login` ---------------------------------------------------------------------------------------------------------


def login(customer, seconds):
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    session = "arn:aws:iam::111122223333:user/me"
    customer.configures(f"[profile work]\nlogin_session = {session}\n")
    keys = {"accessKeyId": "LOGINKEY000000000000", "secretAccessKey": "s", "sessionToken": "t"}
    token = {
        "accessToken": {**keys, "accountId": "111122223333", "expiresAt": at(seconds)},
        "refreshToken": "first",
        "idToken": "i",
        "clientId": "arn:aws:signin:::devtools/same-device",
        "dpopKey": pem,
    }
    return customer.writes(f".aws/login/cache/{sha256(session.encode()).hexdigest()}.json", json.dumps(token))


def test_a_profile_of_aws_login_without_the_library_for_it_says_what_to_install(customer, is_told):
    login(customer, 3600)
    # As if it were not installed, wherever these tests run.
    customer.writes("without/awscrt/__init__.py", "raise ImportError")
    customer.environment["PYTHONPATH"] = str(customer.home / "without")
    is_told(customer.lists(), "Missing Dependency", "Install it with: pip install 'spot-connect[login]'")


def test_a_profile_of_aws_login_works(customer, is_in):
    pytest.importorskip("awscrt")
    login(customer, 3600)
    is_in(customer.lists(), "LOGINKEY")


def test_an_expired_login_is_renewed(customer, endpoints, is_in):
    pytest.importorskip("awscrt")
    token = login(customer, -60)
    is_in(customer.lists(), "LOGINKEY")
    [asked] = endpoints.of("signin")
    assert asked.said["refreshToken"] == "first"
    assert asked.headers["dpop"]
    assert json.loads(token.read_text())["refreshToken"] == "next"


def test_a_login_that_cannot_be_renewed_says_how_to_log_in(customer, endpoints, is_told):
    pytest.importorskip("awscrt")
    token = login(customer, -60)
    denied = {"__type": "AccessDeniedException", "error": "TOKEN_EXPIRED", "message": "no"}
    endpoints.instead["signin"] = lambda _: (400, json.dumps(denied))
    is_told(customer.lists(), "Run `aws login --profile work`.")
    token.unlink()
    is_told(customer.lists(), "Run `aws login --profile work`.")


# A program that prints them ------------------------------------------------------------------------------------------


def program(customer, text):
    path = customer.writes("give keys.py", text)
    customer.configures(f'[profile work]\ncredential_process = "{sys.executable}" "{path}"\n')


def test_a_program_that_prints_keys_works(customer, is_in):
    said = {"Version": 1, "AccessKeyId": "PROGRAMKEY0000000001", "SecretAccessKey": "s"}
    program(customer, f"print({json.dumps(said)!r})")
    is_in(customer.lists(), "PROGRAMKEY")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("print('secret words')", "what came is not JSON"),
        ("import sys; sys.stdout.buffer.write(b'\\xff')", "what came is not JSON"),
        ("", "what came is not JSON"),
        ("print('[]')", "what came is not as it should be"),
        ("print('{}')", "Unsupported version"),
        ("""print('{"Version": 1}')""", "Missing required key"),
        ("import sys; sys.exit('first\\nthe vault is closed\\x1b[2J')", "the vault is closed\\x1b[2J"),
        ("import sys; sys.exit(1)", "custom-process: it failed and did not say why"),
        ("raise SystemExit(3)", "custom-process: it failed and did not say why"),
    ],
)
def test_a_program_that_gives_no_keys_is_named(customer, is_told, text, told):
    program(customer, text)
    result = customer.lists()
    is_told(result, told, "credential_process of the profile work")
    assert "secret words" not in result.stderr


def test_a_program_that_is_not_there_is_named(customer, is_told):
    customer.configures("[profile work]\ncredential_process = /no/such/program --now\n")
    is_told(customer.lists(), "/no/such/program: No such file or directory", "credential_process of the profile work")


# Roles ---------------------------------------------------------------------------------------------------------------


def test_a_role_is_assumed_with_the_keys_of_another_profile(customer, endpoints, is_in):
    customer.writes(".aws/credentials", KEYS)
    customer.configures(ROLE.format("source_profile = base"))
    is_in(customer.lists(), "ROLEKEY")
    [asked] = endpoints.of("sts")
    assert (asked.key, asked.said["RoleArn"]) == ("BASEKEY0000000000001", "arn:aws:iam::111122223333:role/dev")


def test_a_role_is_assumed_with_a_role_with_a_login(customer, endpoints, is_in):
    between = "[profile between]\nrole_arn = arn:aws:iam::111122223333:role/between\nsource_profile = entry\n"
    entry = SSO.replace("profile work", "profile entry")
    customer.configures(entry + between + ROLE.format("source_profile = between"))
    customer.has_token("company", accessToken="cached", expiresAt=at(3600))
    is_in(customer.lists(), "ROLEKEY")
    assert [asked.key[:7] for asked in endpoints.of("sts")] == ["SSOKEY0", "ROLEKEY"]


def test_a_role_is_assumed_with_the_keys_of_a_container(customer, endpoints, is_in):
    customer.configures(ROLE.format("credential_source = EcsContainer"))
    customer.environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f"{endpoints.url}/container"
    is_in(customer.lists(), "ROLEKEY")
    assert endpoints.of("sts")[0].key.startswith("CONTAINERKEY")


def test_keys_in_the_environment_come_before_the_profile_as_with_all_aws_tools(customer, endpoints, is_in):
    customer.configures(ROLE.format("credential_source = Environment"))
    customer.environment |= {"AWS_ACCESS_KEY_ID": "ENVKEY00000000000001", "AWS_SECRET_ACCESS_KEY": "s"}
    is_in(customer.lists(), "ENVKEY")


def test_a_role_that_one_may_not_assume_is_named(customer, endpoints, is_told):
    customer.writes(".aws/credentials", KEYS)
    customer.configures(ROLE.format("source_profile = base"))
    endpoints.instead["sts"] = lambda _: xml_error("AccessDenied", "not authorized to perform sts:AssumeRole", 403)
    is_told(customer.lists(), "sts:AssumeRole (AccessDenied)", "See role_arn", "in the profile work")


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("source_profile = nobody", 'source_profile "nobody" referenced in the profile "work" does not exist'),
        ("source_profile = work", "Infinite loop"),
        ("credential_source = Nowhere", '"Nowhere" referenced in profile "work" is not valid'),
        ("", "source_profile or credential_source"),
        ("credential_source = Environment", "No credentials found in credential_source"),
    ],
)
def test_a_role_without_keys_to_assume_it_is_told(customer, is_told, setting, told):
    customer.configures(ROLE.format(setting))
    is_told(customer.lists(), told)


def test_a_code_for_multi_factor_authentication_is_asked_for_once(customer, endpoints, is_in):
    customer.writes(".aws/credentials", KEYS)
    customer.configures(MFA)
    terminal = customer.sits_at("list")
    terminal.expect_exact("Enter MFA code for arn:aws:iam::111122223333:mfa/me: ")
    terminal.sendline("123456")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
    assert "123456" not in terminal.before
    assert [asked.said["TokenCode"] for asked in endpoints.of("sts")] == ["123456"]
    is_in(customer.lists(), "ROLEKEY")
    assert len(endpoints.of("sts")) == 1


def test_ctrl_c_at_the_question_for_the_code_ends_the_command(customer, endpoints):
    customer.writes(".aws/credentials", KEYS)
    customer.configures(MFA)
    terminal = customer.sits_at("list", "-reg", "us-east-1")
    terminal.expect_exact("Enter MFA code")
    terminal.sendintr()
    terminal.expect_exact("interrupted")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 130
    assert endpoints.asked == []


def test_without_a_terminal_a_code_is_not_asked_for(customer, endpoints, is_told):
    customer.writes(".aws/credentials", KEYS)
    customer.configures(MFA)
    is_told(customer.lists(), "the role wants an MFA code", "Give a command at a terminal first")
    assert endpoints.asked == []


def test_a_token_of_a_web_identity_works(customer, endpoints, is_in):
    del customer.environment["AWS_PROFILE"]
    customer.environment["AWS_WEB_IDENTITY_TOKEN_FILE"] = str(customer.writes("token", "signed"))
    customer.environment["AWS_ROLE_ARN"] = "arn:aws:iam::111122223333:role/dev"
    is_in(customer.lists(), "ROLEKEY")
    assert endpoints.of("sts")[0].said["WebIdentityToken"] == "signed"


def test_a_web_identity_that_is_missing_or_refused_is_told(customer, endpoints, is_told):
    del customer.environment["AWS_PROFILE"]
    customer.environment["AWS_WEB_IDENTITY_TOKEN_FILE"] = str(customer.home / "token")
    customer.environment["AWS_ROLE_ARN"] = "arn:aws:iam::111122223333:role/dev"
    is_told(customer.lists(), f"{customer.home}/token: No such file or directory", "AWS_WEB_IDENTITY_TOKEN_FILE")
    customer.writes("token", "signed")
    endpoints.instead["sts"] = lambda _: xml_error("ExpiredTokenException", "Token expired")
    is_told(customer.lists(), "Token expired (ExpiredTokenException)", "AWS_WEB_IDENTITY_TOKEN_FILE")


# Where the program itself runs ---------------------------------------------------------------------------------------


def test_a_container_has_keys(customer, endpoints, is_in):
    del customer.environment["AWS_PROFILE"]
    customer.environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f"{endpoints.url}/container"
    customer.environment["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = str(customer.writes("token", "let me in"))
    is_in(customer.lists(), "CONTAINERKEY")
    assert endpoints.of("container")[0].headers["authorization"] == "let me in"


@pytest.mark.parametrize("answer", [(500, "no"), (200, "no"), (200, "{}"), (404, "")])
def test_a_container_that_gives_no_keys_is_told(customer, endpoints, is_told, answer):
    del customer.environment["AWS_PROFILE"]
    customer.environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f"{endpoints.url}/container"
    endpoints.instead["container"] = lambda _: answer
    is_told(customer.lists(), "cannot log in to AWS", "AWS_CONTAINER_CREDENTIALS_FULL_URI")


def test_an_instance_has_the_keys_of_its_role(customer, endpoints, is_in):
    del customer.environment["AWS_PROFILE"], customer.environment["AWS_EC2_METADATA_DISABLED"]
    customer.environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = f"{endpoints.url}/imds"
    is_in(customer.lists(), "IMDSKEY")
    assert endpoints.of("imds")[-1].headers["x-aws-ec2-metadata-token"] == "token"


@pytest.mark.parametrize("answer", [(404, "no"), (500, "no"), (200, "")])
def test_without_any_credentials_the_ways_to_get_some_are_named(customer, endpoints, is_told, answer):
    del customer.environment["AWS_PROFILE"], customer.environment["AWS_EC2_METADATA_DISABLED"]
    customer.environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = f"{endpoints.url}/imds"
    endpoints.instead["imds"] = lambda _: answer
    is_told(customer.lists(), "Unable to locate credentials", "`aws configure`", "`aws sso login`", "--local")


def test_a_metadata_service_that_keeps_silent_is_asked_once_however_many_regions(customer, silent, is_told):
    del customer.environment["AWS_PROFILE"], customer.environment["AWS_EC2_METADATA_DISABLED"]
    customer.environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = silent.url
    is_told(customer.lists("-reg", "us-east-1", "-reg", "us-west-2", "-reg", "eu-west-1"), "Unable to locate")
    # One question for a token, and one for the role as of old.
    assert silent.connections <= 2


# Files ---------------------------------------------------------------------------------------------------------------


def test_a_profile_that_is_not_there_is_told(customer, is_told):
    customer.configures("[default]\nregion = us-east-1\n")
    is_told(customer.lists(), "profile (work) could not be found", "AWS_PROFILE names it")


def test_files_elsewhere_are_read(customer, is_in):
    customer.environment["AWS_SHARED_CREDENTIALS_FILE"] = str(customer.writes("far/keys", KEYS.replace("base", "work")))
    is_in(customer.lists(), "BASEKEY")
    customer.environment["AWS_CONFIG_FILE"] = str(customer.writes("far/config", ROLE.format("source_profile = base")))
    customer.environment["AWS_SHARED_CREDENTIALS_FILE"] = str(customer.writes("far/more", KEYS))
    assert customer.lists().returncode == 0


def test_line_ends_of_windows_are_read(customer, is_in):
    customer.writes(".aws/credentials", KEYS.replace("base", "work").replace("\n", "\r\n"))
    is_in(customer.lists(), "BASEKEY")


@pytest.mark.parametrize("name", [".aws/config", ".aws/credentials"])
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[work]\naws_access_key_id = A\n".encode("utf-8-sig"), "it begins with a byte order mark"),
        ("[work]\naws_access_key_id = A\n".encode("utf-16"), "it begins with a byte order mark"),
        (b"[work]\nname = \xe9\n", "it is not UTF-8"),
        (b"aws_secret_access_key = hunter2\n", "line 1 stands before the first [profile]"),
        (b"[work]\nhunter2 by itself\n", "line 2 is not `name = value`"),
        (b"[work]\nregion = a\n[work]\n", "line 3 begins [work] a second time"),
        (b"[work]\nregion = a\nregion = b\n", "line 3 sets region a second time in [work]"),
        (b"[work]\ns3 =\n  hunter2\n", "not all of it is `name = value`"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_without_what_stands_in_it(customer, is_told, name, text, told):
    path = customer.writes(name, "")
    path.write_bytes(text)
    result = customer.lists()
    is_told(result, f"{path}: ", told, "Correct the file")
    assert "hunter2" not in result.stderr


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("AWS_METADATA_SERVICE_TIMEOUT", "long", "an AWS setting is wrong: "),
        ("AWS_ENDPOINT_URL_EC2", "nonsense", "an AWS setting is wrong: Invalid endpoint: nonsense"),
        ("AWS_DEFAULTS_MODE", "nonsense", "invalid defaults mode"),
        ("AWS_REGION", "us_east 1", "Provided region_name 'us_east 1' doesn't match a supported format"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "nonsense", "nonsense"),
    ],
)
def test_a_setting_that_cannot_be_is_no_bug_of_ours(customer, endpoints, name, value, told):
    customer.writes(".aws/credentials", KEYS.replace("base", "work"))
    customer.environment[name] = value
    result = customer.lists()
    assert (result.returncode, endpoints.keys) == (4, [])
    assert told in result.stderr
    assert "bug" not in result.stderr


# Ends in the middle --------------------------------------------------------------------------------------------------


def test_keys_that_end_while_a_command_runs_are_renewed(customer, endpoints, is_in):
    del customer.environment["AWS_PROFILE"]
    customer.environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f"{endpoints.url}/container"
    # botocore renews from ten minutes before the end.
    endpoints.seconds = 60
    is_in(customer.lists("-reg", "us-east-1", "-reg", "us-west-2"), "CONTAINERKEY")
    assert len(set(endpoints.keys)) == 2


@pytest.mark.parametrize("code", ["RequestExpired", "ExpiredToken", "AuthFailure", "InvalidClientTokenId"])
@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("environment", "They are those of AWS_ACCESS_KEY_ID"),
        ("file", "They are those of the profile work in ~/.aws/credentials"),
        ("sso", "Run `aws sso login --profile work`."),
    ],
)
def test_keys_that_ec2_refuses_are_told_by_where_they_come_from(customer, endpoints, code, where, told):
    if where == "environment":
        del customer.environment["AWS_PROFILE"]
        customer.environment |= {"AWS_ACCESS_KEY_ID": "ENVKEY", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"}
    elif where == "file":
        customer.writes(".aws/credentials", KEYS.replace("base", "work"))
    else:
        customer.configures(SSO)
        customer.has_token("company", accessToken="cached", expiresAt=at(3600))
    endpoints.instead["ec2"] = lambda _: (
        400,
        f"<Response><Errors><Error><Code>{code}</Code><Message>no</Message></Error></Errors></Response>",
    )
    result = customer.lists()
    assert result.returncode == 4
    assert f"no ({code})" in result.stderr
    assert told in result.stderr
    assert ("clock" in result.stderr) == (code == "RequestExpired")
    assert len(result.stderr.strip().splitlines()) == 2
