"""Calls through a gateway with the official SDKs, as an application makes them. Prints one JSON line per call.

Usage: calls.py URL LABEL...     every call, once for each label (the value of `x-tollgate-app`)

A line holds what the application sees: the text, the usage the SDK reports, how many chunks had no choices, or the
exception's class, status and message.
"""

import json
import sys

import anthropic
import openai

MESSAGES = [{"role": "user", "content": "How many legs do three spiders and a stool have?"}]


def chat(client):
    answer = client.chat.completions.create(model="gpt-4.1-mini", messages=MESSAGES)
    return {"text": answer.choices[0].message.content, "output_tokens": answer.usage.completion_tokens}


def chat_stream(client):
    stream = client.chat.completions.create(model="gpt-4.1-mini", messages=MESSAGES, stream=True)
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    return {"text": text, "without_choice": sum(not chunk.choices for chunk in chunks)}


def chat_stream_with_usage(client):
    stream = client.chat.completions.create(
        model="gpt-4.1-mini", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    usage = chunks[-1].usage
    return {
        "text": text,
        "without_choice": sum(not chunk.choices for chunk in chunks),
        "output_tokens": usage.completion_tokens,
    }


def responses(client):
    answer = client.responses.create(model="gpt-5-mini", input=MESSAGES[0]["content"])
    return {"text": answer.output_text, "output_tokens": answer.usage.output_tokens}


def responses_stream(client):
    with client.responses.stream(model="gpt-5-mini", input=MESSAGES[0]["content"]) as stream:
        answer = stream.get_final_response()
    return {"text": answer.output_text, "output_tokens": answer.usage.output_tokens}


def messages(client):
    answer = client.messages.create(model="claude-sonnet-5-5", max_tokens=200, messages=MESSAGES)
    return {"text": answer.content[0].text, "output_tokens": answer.usage.output_tokens}


def messages_stream(client):
    with client.messages.stream(model="claude-sonnet-5-5", max_tokens=200, messages=MESSAGES) as stream:
        answer = stream.get_final_message()
    return {"text": answer.content[0].text, "output_tokens": answer.usage.output_tokens}


OPENAI = [chat, chat_stream, chat_stream_with_usage, responses, responses_stream]
ANTHROPIC = [messages, messages_stream]


def outcome(call, client):
    try:
        return call(client)
    except (openai.APIStatusError, anthropic.APIStatusError) as error:
        return {
            "error": type(error).__name__,
            "status": error.status_code,
            "message": str(error),
            "retry_after": error.response.headers.get("retry-after"),
        }


def main(url, labels):
    for label in labels:
        headers = {"x-tollgate-app": label}
        sdks = [
            (OPENAI, openai.OpenAI(base_url=f"{url}/v1", api_key="sk-test", default_headers=headers)),
            (ANTHROPIC, anthropic.Anthropic(base_url=url, api_key="sk-ant-test", default_headers=headers)),
        ]
        for calls, client in sdks:
            for call in calls:
                print(json.dumps({"call": call.__name__, "app": label, **outcome(call, client)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
