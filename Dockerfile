# gdpw-pipe on CPU or NVIDIA GPUs.  docker build -t gdpw-pipe .  &&  docker run --gpus all -v $PWD:/data gdpw-pipe doctor
# Holds no gated file: mount FLAME, DECA and GDPW files at run time.
FROM python:3.12-slim-bookworm

RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgl1 libegl1 libgles2 libglib2.0-0 libxcb1 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /app
COPY constraints.txt pyproject.toml README.md LICENSE NOTICE ./
COPY fit_deca fit_deca
COPY gdpw gdpw
COPY pipeline pipeline
COPY jobs jobs
RUN python -m pip install --no-cache-dir --constraint constraints.txt '.[demo]'

RUN useradd --create-home gdpw && mkdir /data && chown gdpw /data
USER gdpw
WORKDIR /data
ENV RAY_USAGE_STATS_ENABLED=0
ENTRYPOINT ["gdpw-pipe"]
CMD ["--help"]
