"""Many clients of one person against a real server of two processes with eight threads each."""

from concurrent.futures import ThreadPoolExecutor

from tests.server import Server

CLIENTS, TASKS_EACH = 8, 10


def test_it_works(server: Server) -> None:
    person = server.person("busy")

    def add(client: int) -> list[int]:
        ids = []
        for number in range(TASKS_EACH):
            status, task = person.call("POST", "tasks/", {"title": f"{client}.{number}"})
            assert status == 201, task
            ids.append(task["id"])
        return ids

    with ThreadPoolExecutor(CLIENTS) as clients:
        ids = [task_id for added in clients.map(add, range(CLIENTS)) for task_id in added]

    total = CLIENTS * TASKS_EACH
    assert sorted(ids) == list(range(1, total + 1))
    assert person.document("users", "user")["api_calls_used"] == total
    status, answer = person.call("GET", "tasks/")
    assert (status, answer["total"]) == (200, total)
    wanted = {f"{client}.{number}" for client in range(CLIENTS) for number in range(TASKS_EACH)}
    assert {task["title"] for task in answer["tasks"]} == wanted


def test_changes_of_one_task_are_all_kept(server: Server) -> None:
    person = server.person("shared")
    assert person.call("POST", "tasks/", {"title": "A"})[0] == 201

    def note(client: int) -> int:
        return person.call("PATCH", "tasks/1/", {"metadata": {f"by {client}": client}})[0]

    with ThreadPoolExecutor(CLIENTS) as clients:
        assert set(clients.map(note, range(3 * CLIENTS))) == {200}

    noted = person.call("GET", "tasks/1/")[1]["metadata"]
    assert noted == {f"by {client}": client for client in range(3 * CLIENTS)}
