"""llama.cpp's log-probabilities, for compare.py: one JSON request on standard input, one .npy file.

The request: {"model", "adapters": [[path, scale]], "windows": [[ids]], "positions": [p], "out"}. The file holds
[windows, positions, vocabulary] log-probabilities of the token behind position p; NaN where llama.cpp told none. It runs
with llama-cpp-python, or with xllamacpp, whose server tells a next token's probabilities. Keys and values stay in f32. One thread: a few
hundred tokens need no more, and threads that wait for each other suffer on a busy machine.
"""
import json
import sys

import numpy


def log_softmax(logits):
    logits = logits.astype(numpy.float64)
    logits -= logits.max(axis=-1, keepdims=True)
    return logits - numpy.log(numpy.exp(logits).sum(axis=-1, keepdims=True))


def by_binding(request):
    import llama_cpp

    options = {}
    if request["adapters"]:
        [(path, scale)] = request["adapters"]
        options = {"lora_path": path, "lora_scale": scale}
    model = llama_cpp.Llama(request["model"], n_ctx=512, n_batch=512, logits_all=True, verbose=False, flash_attn=False,
                            type_k=0, type_v=0, n_threads=1, n_threads_batch=1, **options)
    rows = []
    for window in request["windows"]:
        model.reset()
        model.eval(window)
        rows.append(log_softmax(model.scores[request["positions"]]))
    return f"llama-cpp-python {llama_cpp.__version__}", numpy.stack(rows)


def by_server(request):
    import importlib.metadata

    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = request["model"]
    params.n_ctx, params.n_batch, params.n_parallel, params.n_gpu_layers, params.verbosity = 512, 512, 1, 0, -1
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.warmup = False
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    adapters = []
    for path, scale in request["adapters"]:
        adapter = xllamacpp.CommonAdapterLoraInfo()
        adapter.path, adapter.scale = path, scale
        adapters.append(adapter)
    params.lora_adapters = adapters
    server = xllamacpp.Server(params)
    rows = []
    for window in request["windows"]:
        for position in request["positions"]:
            reply = server.handle_completions({
                "prompt": window[: position + 1], "n_predict": 1, "temperature": 0, "n_probs": request["told"],
                "cache_prompt": False, "ignore_eos": False,
            })
            reply = json.loads(reply) if isinstance(reply, str) else reply
            row = numpy.full(request["vocabulary"], numpy.nan)
            for token in reply["choices"][0]["logprobs"]["content"][0]["top_logprobs"]:
                row[token["id"]] = token["logprob"]
            rows.append(row)
    shape = (len(request["windows"]), len(request["positions"]), request["vocabulary"])
    return f"xllamacpp {importlib.metadata.version('xllamacpp')}", numpy.stack(rows).reshape(shape)


def main():
    request = json.loads(sys.stdin.readline())
    try:
        import llama_cpp  # noqa: F401

        name, rows = by_binding(request)
    except ImportError:
        name, rows = by_server(request)
    numpy.save(request["out"], rows.astype(numpy.float64))
    print(f"NAME {name}", flush=True)


main()
