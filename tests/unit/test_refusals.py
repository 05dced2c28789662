import pytest
from botocore import exceptions as causes

from spot_connect.aws.refusals import asking, code_of, note_place
from spot_connect.core import errors


def client_error(code, message="no"):
    return causes.ClientError({"Error": {"Code": code, "Message": message}}, "RunInstances")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("InsufficientInstanceCapacity", errors.NoCapacity),
        ("SpotMaxPriceTooLow", errors.PriceTooLow),
        ("MaxSpotInstanceCountExceeded", errors.QuotaReached),
        ("UnauthorizedOperation", errors.NotAuthorized),
        ("ExpiredToken", errors.NoCredentials),
        ("InvalidAMIID.NotFound", errors.AwsObjectMissing),
        ("RequestLimitExceeded", errors.Throttled),
    ],
)
def test_each_code_has_its_class_and_keeps_what_aws_said(code, kind):
    with pytest.raises(kind) as caught, asking("launch vm1"):
        raise client_error(code, "the words of AWS")
    assert caught.value.what == "cannot launch vm1"
    assert "the words of AWS" in caught.value.said
    assert caught.value.advice
    assert code_of(caught.value) == code
    assert caught.value.exit_code == 4


def test_what_only_aws_can_read_of_a_denial_is_left_out():
    said = "You are not authorized to perform this operation. User: u is not authorized to perform: ec2:CreateTags."
    with pytest.raises(errors.NotAuthorized) as caught, asking("launch vm1"):
        raise client_error("UnauthorizedOperation", f"{said} Encoded authorization failure message: {'x' * 700}")
    assert caught.value.said == f"{said} (UnauthorizedOperation)"


def test_a_bucket_of_somebody_else_is_a_matter_of_rights():
    with pytest.raises(errors.NotAuthorized) as caught, asking("look for the bucket b"):
        raise client_error("403", "Forbidden")
    assert "docs/permissions.md" in caught.value.advice


def test_the_refusal_of_the_free_plan_names_types_that_it_allows():
    message = "The specified instance type is not eligible for Free Tier."
    with pytest.raises(errors.AwsError, match="not eligible") as caught, asking("launch vm1"):
        raise client_error("InvalidParameterCombination", message)
    assert "-p t3.micro" in caught.value.advice


def test_an_unknown_code_is_still_an_answer_of_aws():
    with pytest.raises(errors.AwsError, match="NewCode"), asking("launch vm1"):
        raise client_error("NewCode")


def test_no_credentials_names_both_ways_out():
    with pytest.raises(errors.NoCredentials) as caught, asking("launch vm1"):
        raise causes.NoCredentialsError
    assert "aws configure" in caught.value.advice
    assert "--local" in caught.value.advice


def test_a_dead_line_is_told_from_a_refusal():
    with pytest.raises(errors.AwsUnreachable), asking("launch vm1"):
        raise causes.EndpointConnectionError(endpoint_url="https://ec2.example")


def test_our_own_errors_pass_through():
    with pytest.raises(errors.UsageError), asking("launch vm1"):
        raise errors.UsageError("mine")


def refused_in(region, code, *, local=False):
    error = client_error(code)
    note_place(error.response, {"client_region": region}, local=local)
    with pytest.raises(errors.AwsError) as caught, asking("launch vm1"):
        raise error
    return caught.value.advice


@pytest.mark.parametrize(
    "code", ["AuthFailure", "InvalidClientTokenId", "UnrecognizedClientException", "OptInRequired"]
)
def test_a_region_that_may_not_be_enabled_is_told_of_by_whatever_service_refuses(code):
    assert "`aws account enable-region --region-name eu-south-2`" in refused_in("eu-south-2", code)
    assert "enable-region" not in refused_in("eu-west-1", code)
    assert "enable-region" not in refused_in("cn-northwest-1", code)


@pytest.mark.parametrize(
    ("code", "is_examined"),
    [
        ("AuthFailure", True),
        ("UnauthorizedOperation", True),
        ("MaxSpotInstanceCountExceeded", True),
        ("DefaultVpcDoesNotExist", True),
        ("InvalidAMIID.NotFound", False),
        ("InsufficientInstanceCapacity", False),
        ("InvalidParameterValue", False),
        ("RequestLimitExceeded", False),
    ],
)
def test_advice_ends_with_the_doctor_where_it_can_tell_more(code, is_examined):
    assert refused_in("us-east-1", code).endswith("`spot_connect doctor` looks for the cause.") == is_examined
    there = refused_in("us-east-1", code, local=True)
    assert there.endswith("`spot_connect --local doctor` looks for the cause.") == is_examined


def test_a_dead_line_and_missing_credentials_end_with_the_doctor():
    for error in (causes.NoCredentialsError(), causes.EndpointConnectionError(endpoint_url="https://ec2.example")):
        with pytest.raises(errors.AwsError, match="spot_connect doctor"), asking("launch vm1"):
            raise error
