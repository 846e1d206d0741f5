# Two images from one file: `--target signaling` is small and knows no media; the default can do everything.
ARG PYTHON=python:3.11-slim-bookworm

# -- the signaling server: aiohttp and the few modules of avcall that it needs
FROM ${PYTHON} AS signaling
WORKDIR /opt/avcall
RUN pip install --no-cache-dir "aiohttp>=3.12,<4"
COPY pyproject.toml README.md LICENSE ./
COPY bench bench
COPY cli cli
COPY common common
COPY models models
COPY receiver receiver
COPY sender sender
COPY signaling signaling
RUN pip install --no-cache-dir --no-deps . && rm -rf /opt/avcall && useradd --create-home avcall
WORKDIR /home/avcall
USER avcall
EXPOSE 8765
STOPSIGNAL SIGINT
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8765/health', timeout=2)"]
ENTRYPOINT ["avcall"]
CMD ["signal"]

# -- everything: avcall send, receive, demo, doctor, bench
FROM ${PYTHON} AS avcall
# libportaudio2: sound; libgl1, libglib2.0-0 and what they leave out: opencv and mediapipe
RUN apt-get update \
    && apt-get install -y --no-install-recommends libportaudio2 libgl1 libglib2.0-0 libsm6 libxext6 \
    && rm -rf /var/lib/apt/lists/*
# torch first, as it is large and rarely changes: the same pin as pyproject.toml. On Linux it brings CUDA and also runs
# without a GPU; for a smaller image point pip at a CPU build through its own settings (PIP_INDEX_URL, PIP_FIND_LINKS).
ARG PIP_INDEX_URL
ARG PIP_FIND_LINKS
RUN pip install --no-cache-dir torch==2.13.0
WORKDIR /opt/avcall
COPY pyproject.toml README.md LICENSE ./
COPY bench bench
COPY cli cli
COPY common common
COPY models models
COPY receiver receiver
COPY sender sender
COPY signaling signaling
RUN pip install --no-cache-dir ".[bench]" && rm -rf /opt/avcall \
    && useradd --create-home avcall && install -d -o avcall -g avcall /data
WORKDIR /data
USER avcall
VOLUME /data
STOPSIGNAL SIGINT
ENTRYPOINT ["avcall"]
CMD ["--help"]
