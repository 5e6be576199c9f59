"""What LinkSocks (Go) 1.10.3 does wrong, by our measurements, and which tests show that we do not.

The numbers are those of our list of the peers' defects.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SHOWN = {
    "0: a second connector takes over the channels of the first": (
        "server/test_agent.py::test_two_connectors_may_use_one_channel_id_and_get_their_own_bytes",
        "server/test_agent.py::test_a_connector_that_comes_again_gets_nothing_of_what_was",
        "test_data_path_modes.py::test_each_connector_gets_its_own_bytes",
    ),
    "1: an end reaches the other side after five seconds or more": (
        "test_data_path.py::TestEnds::test_an_end_is_seen_at_once",
        "test_data_path_modes.py::TestEnds::test_an_end_is_seen_at_once",
        "test_data_path_modes.py::TestEnds::test_a_hundred_that_are_closed_at_once_end_at_once",
    ),
    "2: closed connections stay open at the target": (
        "test_data_path.py::TestEnds::test_five_hundred_are_closed_at_once",
        "test_data_path_modes.py::TestEnds::test_a_hundred_that_are_closed_at_once_end_at_once",
        "test_data_path_modes.py::test_a_thousand_connections_leave_nothing",
    ),
    "3: the client stalls after some hundred connections that the target closed": (
        "test_data_path.py::TestEnds::test_the_three_thousandth_connection_is_as_quick_as_the_first",
    ),
    "4: a provider never hears that the connector's application closed": (
        "tunnel/ends/test_switch.py::TestEnds::test_a_close_is_passed_on_at_once",
        "test_data_path_modes.py::TestEnds::test_an_end_is_seen_at_once",
    ),
    "5: what a slow reader does not take is lost": (
        "test_data_path.py::test_a_slow_consumer_gets_every_byte_and_holds_up_nobody",
        "test_data_path_modes.py::TestStandstill::test_connections_that_nobody_reads",
    ),
    "6: a stream goes on with a hole after a reconnect": (
        "test_data_path.py::TestSeveralLinks::test_a_lost_link_ends_its_channels_and_no_other",
        "test_lifetimes.py::TestEverybody::test_a_provider_that_is_cut_off_comes_back",
    ),
    "7: a slow link that is always busy is dropped": (
        "test_links.py::test_a_link_that_is_slower_than_what_it_carries_stays",
        "net/ws/test_websocket.py::test_any_byte_is_life",
    ),
    "8: several links put the bytes of a stream out of order": (
        "test_data_path.py::TestSeveralLinks::test_a_stream_stays_in_order",
    ),
    "9: answers are kept back for more to come": (
        "test_data_path_modes.py::test_an_answer_is_not_kept_for_more_to_come",
    ),
    "10: everything that is large is compressed": ("test_links.py::test_nothing_is_compressed",),
    "11: one stalled connector blocks all others of its provider": (
        "tunnel/ends/test_switch.py::TestStreams::test_a_connector_that_reads_nothing_does_not_delay_another",
        "test_data_path_modes.py::TestStandstill::test_connections_that_nobody_reads",
        "test_data_path_modes.py::TestStandstill::test_a_connector_that_does_not_run",
    ),
    "12: a datagram of four bytes ends the process": (
        "tunnel/ends/test_association.py::TestMalformed::test_whatever_is_cut_short_is_dropped",
    ),
    "13: a provider can make the server dial": (
        "server/test_reverse.py::test_a_provider_can_not_make_the_server_dial",
    ),
    "14: a provider can remove any token": (
        "server/test_autonomy.py::test_what_somebody_else_has_can_not_be_removed",
    ),
    "15: a provider's connectors are lost with its link": (
        "server/test_autonomy.py::TestAProviderThatLeaves::"
        "test_finds_its_tokens_and_connectors_when_it_comes_back",
        "test_lifetimes.py::TestEverybody::test_a_provider_that_is_cut_off_comes_back",
    ),
    "16: datagrams go past the access rules": ("test_access.py::test_each_datagram_is_judged",),
    "17: there is no half close": (
        "test_data_path.py::TestEnds::test_the_answer_comes_after_the_end_of_the_request",
        "test_data_path_modes.py::TestEnds::test_the_answer_comes_after_the_end_of_the_request",
    ),
    "18: the counts of partners are wrong": (
        "server/test_agent.py::TestPartners::test_links_of_one_client_count_once",
        "server/test_agent.py::TestPartners::test_those_of_another_token_do_not_count",
    ),
}


@pytest.mark.parametrize("defect", SHOWN)
def test_the_tests_that_show_it_are_there(defect: str) -> None:
    for name in SHOWN[defect]:
        file, *path = name.split("::")
        found: ast.AST | None = ast.parse((Path(__file__).parent / file).read_text())
        for part in path:
            found = next(
                (each for each in getattr(found, "body", ()) if getattr(each, "name", "") == part), None
            )
        assert isinstance(found, ast.FunctionDef), f"there is no {name}"
