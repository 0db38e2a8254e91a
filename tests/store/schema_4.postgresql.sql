SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE public.bbnas_attempts (
    id integer NOT NULL,
    study_id integer NOT NULL,
    number integer NOT NULL,
    run_id integer NOT NULL,
    worker integer,
    started timestamp without time zone NOT NULL,
    finished timestamp without time zone,
    outcome character varying(16) NOT NULL
);
CREATE SEQUENCE public.bbnas_attempts_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.bbnas_attempts_id_seq OWNED BY public.bbnas_attempts.id;
CREATE TABLE public.bbnas_budgets (
    run_id integer NOT NULL,
    designs integer NOT NULL
);
CREATE TABLE public.bbnas_candidates (
    id integer NOT NULL,
    study_id integer NOT NULL,
    number integer NOT NULL,
    design_key character varying(16) NOT NULL,
    design json NOT NULL,
    baseline character varying(100) NOT NULL,
    state character varying(16) NOT NULL,
    run_id integer,
    deaths integer NOT NULL,
    evaluation_id integer,
    reused boolean NOT NULL,
    notes json NOT NULL,
    finished timestamp without time zone
);
CREATE SEQUENCE public.bbnas_candidates_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.bbnas_candidates_id_seq OWNED BY public.bbnas_candidates.id;
CREATE TABLE public.bbnas_evaluations (
    id integer NOT NULL,
    design_key character varying(16) NOT NULL,
    task character varying(32) NOT NULL,
    protocol_key character varying(12) NOT NULL,
    data character varying(128) NOT NULL,
    design json NOT NULL,
    protocol json NOT NULL,
    status character varying(16) NOT NULL,
    psnr double precision,
    ssim double precision,
    ops double precision NOT NULL,
    params double precision NOT NULL,
    seconds double precision NOT NULL,
    curve json NOT NULL,
    rungs json DEFAULT '[]'::json NOT NULL,
    environment json NOT NULL,
    error text NOT NULL
);
CREATE SEQUENCE public.bbnas_evaluations_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.bbnas_evaluations_id_seq OWNED BY public.bbnas_evaluations.id;
CREATE TABLE public.bbnas_fidelities (
    id integer NOT NULL,
    task character varying(32) NOT NULL,
    space character varying(200) NOT NULL,
    protocol_key character varying(12) NOT NULL,
    data character varying(128) NOT NULL,
    protocol json NOT NULL,
    long json NOT NULL,
    result json NOT NULL,
    environment json NOT NULL,
    measured timestamp without time zone NOT NULL
);
CREATE SEQUENCE public.bbnas_fidelities_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.bbnas_fidelities_id_seq OWNED BY public.bbnas_fidelities.id;
CREATE TABLE public.bbnas_latencies (
    id integer NOT NULL,
    design_key character varying(16) NOT NULL,
    task character varying(32) NOT NULL,
    setting_key character varying(16) NOT NULL,
    shape character varying(16) NOT NULL,
    setting json NOT NULL,
    seconds double precision NOT NULL,
    ratio double precision NOT NULL,
    reference double precision NOT NULL,
    spread double precision NOT NULL,
    runs integer NOT NULL
);
CREATE SEQUENCE public.bbnas_latencies_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.bbnas_latencies_id_seq OWNED BY public.bbnas_latencies.id;
CREATE TABLE public.bbnas_references (
    study_id integer NOT NULL,
    evaluation_id integer NOT NULL
);
CREATE TABLE public.bbnas_runs (
    id integer NOT NULL,
    study_id integer NOT NULL,
    host character varying(255) NOT NULL,
    pid integer NOT NULL,
    started timestamp without time zone NOT NULL,
    seen timestamp without time zone NOT NULL,
    finished timestamp without time zone,
    duplicates integer NOT NULL,
    rejected integer NOT NULL
);
CREATE SEQUENCE public.bbnas_runs_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.bbnas_runs_id_seq OWNED BY public.bbnas_runs.id;
CREATE TABLE public.bbnas_studies (
    id integer NOT NULL,
    name character varying(200) NOT NULL,
    config json NOT NULL,
    created timestamp without time zone NOT NULL
);
CREATE SEQUENCE public.bbnas_studies_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.bbnas_studies_id_seq OWNED BY public.bbnas_studies.id;
CREATE TABLE public.bbnas_version (
    version integer NOT NULL
);
CREATE SEQUENCE public.bbnas_version_version_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.bbnas_version_version_seq OWNED BY public.bbnas_version.version;
ALTER TABLE ONLY public.bbnas_attempts ALTER COLUMN id SET DEFAULT nextval('public.bbnas_attempts_id_seq'::regclass);
ALTER TABLE ONLY public.bbnas_candidates ALTER COLUMN id SET DEFAULT nextval('public.bbnas_candidates_id_seq'::regclass);
ALTER TABLE ONLY public.bbnas_evaluations ALTER COLUMN id SET DEFAULT nextval('public.bbnas_evaluations_id_seq'::regclass);
ALTER TABLE ONLY public.bbnas_fidelities ALTER COLUMN id SET DEFAULT nextval('public.bbnas_fidelities_id_seq'::regclass);
ALTER TABLE ONLY public.bbnas_latencies ALTER COLUMN id SET DEFAULT nextval('public.bbnas_latencies_id_seq'::regclass);
ALTER TABLE ONLY public.bbnas_runs ALTER COLUMN id SET DEFAULT nextval('public.bbnas_runs_id_seq'::regclass);
ALTER TABLE ONLY public.bbnas_studies ALTER COLUMN id SET DEFAULT nextval('public.bbnas_studies_id_seq'::regclass);
ALTER TABLE ONLY public.bbnas_version ALTER COLUMN version SET DEFAULT nextval('public.bbnas_version_version_seq'::regclass);
INSERT INTO public.bbnas_attempts VALUES (1, 1, 0, 1, 0, '2026-11-27 21:10:44.842225', '2026-11-27 21:10:44.853016', 'ok');
INSERT INTO public.bbnas_attempts VALUES (2, 1, 1, 1, 0, '2026-11-27 21:10:44.862501', '2026-11-27 21:10:44.865832', 'ok');
INSERT INTO public.bbnas_attempts VALUES (3, 1, 2, 1, 0, '2026-11-27 21:10:44.872997', '2026-11-27 21:10:44.877977', 'ok');
INSERT INTO public.bbnas_budgets VALUES (1, 3);
INSERT INTO public.bbnas_candidates VALUES (1, 1, 0, '8df840a9c51ecb15', '{"binarize": ["body", "upsampling"], "method": "bbcu", "norm": "none", "k_ratio": null, "activation": "relu", "activation_position": "residual_branch", "convs_per_residual": 1, "weight_scale": true, "estimator": "quadratic", "width": 16, "depth": 32}', '', 'done', 1, 0, 1, false, '{}', '2026-11-27 21:10:44.851331');
INSERT INTO public.bbnas_candidates VALUES (2, 1, 1, '3c38f6a150c58d05', '{"binarize": ["body", "upsampling"], "method": "bbcu", "norm": "none", "k_ratio": 0.25, "activation": "rprelu", "activation_position": "residual_branch", "convs_per_residual": 1, "weight_scale": true, "estimator": "quadratic", "width": 16, "depth": 32}', '', 'done', 1, 0, 2, false, '{}', '2026-11-27 21:10:44.865303');
INSERT INTO public.bbnas_candidates VALUES (3, 1, 2, 'a21649a6821a335c', '{"binarize": ["body", "upsampling", "tail"], "method": "bbcu", "norm": "none", "k_ratio": 0.25, "activation": "relu", "activation_position": "residual_branch", "convs_per_residual": 1, "weight_scale": true, "estimator": "quadratic", "width": 16, "depth": 32}', '', 'done', 1, 0, 3, false, '{}', '2026-11-27 21:10:44.877375');
INSERT INTO public.bbnas_evaluations VALUES (1, '8df840a9c51ecb15', 'sr4', '6eb6b3eac470', 'ffffffffffffffff', '{"binarize": ["body", "upsampling"], "method": "bbcu", "norm": "none", "k_ratio": null, "activation": "relu", "activation_position": "residual_branch", "convs_per_residual": 1, "weight_scale": true, "estimator": "quadratic", "width": 16, "depth": 32}', '{"name": "proxy", "width_scale": 0.25, "depth_scale": 1.0, "iterations": 1000, "batch": 4, "patch": 24, "augment": "dihedral", "learning_rate": 0.001, "betas": [0.9, 0.99], "shift_rate": 0.1, "latent_rate": 1.0, "ema": 0.0, "progressive": 0.0, "distill": 0.0, "distill_features": 0.0, "schedule": "onecycle", "precision": "fp32", "halve_every": 200000, "validate_every": 0, "validation_side": 192, "rungs": [125, 500], "noise": 0.03, "seed": 1}', 'ok', 24.733333333333334, 0.6183333333333334, 77875200, 1352, 0, '[[50, 0.1], [100, 0.05]]', '[]', '{"python": "3.11"}', '');
INSERT INTO public.bbnas_evaluations VALUES (2, '3c38f6a150c58d05', 'sr4', '6eb6b3eac470', 'ffffffffffffffff', '{"binarize": ["body", "upsampling"], "method": "bbcu", "norm": "none", "k_ratio": 0.25, "activation": "rprelu", "activation_position": "residual_branch", "convs_per_residual": 1, "weight_scale": true, "estimator": "quadratic", "width": 16, "depth": 32}', '{"name": "proxy", "width_scale": 0.25, "depth_scale": 1.0, "iterations": 1000, "batch": 4, "patch": 24, "augment": "dihedral", "learning_rate": 0.001, "betas": [0.9, 0.99], "shift_rate": 0.1, "latent_rate": 1.0, "ema": 0.0, "progressive": 0.0, "distill": 0.0, "distill_features": 0.0, "schedule": "onecycle", "precision": "fp32", "halve_every": 200000, "validate_every": 0, "validation_side": 192, "rungs": [125, 500], "noise": 0.03, "seed": 1}', 'ok', 24.933333333333334, 0.6233333333333333, 77875200, 1352, 0, '[[50, 0.1], [100, 0.05]]', '[]', '{"python": "3.11"}', '');
INSERT INTO public.bbnas_evaluations VALUES (3, 'a21649a6821a335c', 'sr4', '6eb6b3eac470', 'ffffffffffffffff', '{"binarize": ["body", "upsampling", "tail"], "method": "bbcu", "norm": "none", "k_ratio": 0.25, "activation": "relu", "activation_position": "residual_branch", "convs_per_residual": 1, "weight_scale": true, "estimator": "quadratic", "width": 16, "depth": 32}', '{"name": "proxy", "width_scale": 0.25, "depth_scale": 1.0, "iterations": 1000, "batch": 4, "patch": 24, "augment": "dihedral", "learning_rate": 0.001, "betas": [0.9, 0.99], "shift_rate": 0.1, "latent_rate": 1.0, "ema": 0.0, "progressive": 0.0, "distill": 0.0, "distill_features": 0.0, "schedule": "onecycle", "precision": "fp32", "halve_every": 200000, "validate_every": 0, "validation_side": 192, "rungs": [125, 500], "noise": 0.03, "seed": 1}', 'ok', 24.73333333333333, 0.6183333333333333, 77875200, 1352, 0, '[[50, 0.1], [100, 0.05]]', '[]', '{"python": "3.11"}', '');
INSERT INTO public.bbnas_runs VALUES (1, 1, 'vm', 8669, '2026-11-27 21:10:44.81821', '2026-11-27 21:10:44.884703', '2026-11-27 21:10:44.884641', 0, 0);
INSERT INTO public.bbnas_studies VALUES (1, 'quick', '{"name": "quick", "space": {"version": 1, "name": "small", "description": "", "axes": {"binarize": [[], ["body"], ["upsampling"], ["tail"], ["body", "upsampling"], ["body", "tail"], ["upsampling", "tail"], ["body", "upsampling", "tail"]], "method": [], "norm": ["none", "batchnorm"], "k_ratio": [null, 0.25, 1.0, 4.0], "activation": ["rprelu", "relu"], "activation_position": ["residual_branch"], "convs_per_residual": [1], "weight_scale": [true], "estimator": ["quadratic"], "width": [16, 32, 64], "depth": [16, 32]}}, "task": "sr4", "protocol": {"name": "proxy", "width_scale": 0.25, "depth_scale": 1.0, "iterations": 1000, "batch": 4, "patch": 24, "augment": "dihedral", "learning_rate": 0.001, "betas": [0.9, 0.99], "shift_rate": 0.1, "latent_rate": 1.0, "ema": 0.0, "progressive": 0.0, "distill": 0.0, "distill_features": 0.0, "schedule": "onecycle", "precision": "fp32", "halve_every": 200000, "validate_every": 0, "validation_side": 192, "rungs": [125, 500], "noise": 0.03, "seed": 1}, "data": "ffffffffffffffff", "data_description": "3 photographs", "objectives": ["psnr", "ops", "params"], "sampler": "ehvi", "sampler_options": {"n_startup_trials": 20, "refine": true}, "guide": "none", "early_stopping": false, "seed": 1, "max_ops": null, "max_params": null, "max_latency": null, "skip_psnr": null, "bicubic_psnr": null, "latency": null}', '2026-11-27 21:10:44.816817');
INSERT INTO public.bbnas_version VALUES (4);
SELECT pg_catalog.setval('public.bbnas_attempts_id_seq', 3, true);
SELECT pg_catalog.setval('public.bbnas_candidates_id_seq', 3, true);
SELECT pg_catalog.setval('public.bbnas_evaluations_id_seq', 3, true);
SELECT pg_catalog.setval('public.bbnas_fidelities_id_seq', 1, false);
SELECT pg_catalog.setval('public.bbnas_latencies_id_seq', 1, false);
SELECT pg_catalog.setval('public.bbnas_runs_id_seq', 1, true);
SELECT pg_catalog.setval('public.bbnas_studies_id_seq', 1, true);
SELECT pg_catalog.setval('public.bbnas_version_version_seq', 1, false);
ALTER TABLE ONLY public.bbnas_attempts
    ADD CONSTRAINT bbnas_attempts_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.bbnas_budgets
    ADD CONSTRAINT bbnas_budgets_pkey PRIMARY KEY (run_id);
ALTER TABLE ONLY public.bbnas_candidates
    ADD CONSTRAINT bbnas_candidates_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.bbnas_candidates
    ADD CONSTRAINT bbnas_candidates_study_id_design_key_key UNIQUE (study_id, design_key);
ALTER TABLE ONLY public.bbnas_candidates
    ADD CONSTRAINT bbnas_candidates_study_id_number_key UNIQUE (study_id, number);
ALTER TABLE ONLY public.bbnas_evaluations
    ADD CONSTRAINT bbnas_evaluations_design_key_task_protocol_key_data_key UNIQUE (design_key, task, protocol_key, data);
ALTER TABLE ONLY public.bbnas_evaluations
    ADD CONSTRAINT bbnas_evaluations_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.bbnas_fidelities
    ADD CONSTRAINT bbnas_fidelities_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.bbnas_latencies
    ADD CONSTRAINT bbnas_latencies_design_key_task_setting_key_key UNIQUE (design_key, task, setting_key);
ALTER TABLE ONLY public.bbnas_latencies
    ADD CONSTRAINT bbnas_latencies_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.bbnas_references
    ADD CONSTRAINT bbnas_references_pkey PRIMARY KEY (study_id, evaluation_id);
ALTER TABLE ONLY public.bbnas_runs
    ADD CONSTRAINT bbnas_runs_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.bbnas_studies
    ADD CONSTRAINT bbnas_studies_name_key UNIQUE (name);
ALTER TABLE ONLY public.bbnas_studies
    ADD CONSTRAINT bbnas_studies_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.bbnas_version
    ADD CONSTRAINT bbnas_version_pkey PRIMARY KEY (version);
CREATE INDEX ix_bbnas_attempts_study_id ON public.bbnas_attempts USING btree (study_id);
CREATE INDEX ix_bbnas_runs_study_id ON public.bbnas_runs USING btree (study_id);
ALTER TABLE ONLY public.bbnas_attempts
    ADD CONSTRAINT bbnas_attempts_run_id_fkey FOREIGN KEY (run_id) REFERENCES public.bbnas_runs(id);
ALTER TABLE ONLY public.bbnas_attempts
    ADD CONSTRAINT bbnas_attempts_study_id_fkey FOREIGN KEY (study_id) REFERENCES public.bbnas_studies(id);
ALTER TABLE ONLY public.bbnas_budgets
    ADD CONSTRAINT bbnas_budgets_run_id_fkey FOREIGN KEY (run_id) REFERENCES public.bbnas_runs(id);
ALTER TABLE ONLY public.bbnas_candidates
    ADD CONSTRAINT bbnas_candidates_evaluation_id_fkey FOREIGN KEY (evaluation_id) REFERENCES public.bbnas_evaluations(id);
ALTER TABLE ONLY public.bbnas_candidates
    ADD CONSTRAINT bbnas_candidates_run_id_fkey FOREIGN KEY (run_id) REFERENCES public.bbnas_runs(id);
ALTER TABLE ONLY public.bbnas_candidates
    ADD CONSTRAINT bbnas_candidates_study_id_fkey FOREIGN KEY (study_id) REFERENCES public.bbnas_studies(id);
ALTER TABLE ONLY public.bbnas_references
    ADD CONSTRAINT bbnas_references_evaluation_id_fkey FOREIGN KEY (evaluation_id) REFERENCES public.bbnas_evaluations(id);
ALTER TABLE ONLY public.bbnas_references
    ADD CONSTRAINT bbnas_references_study_id_fkey FOREIGN KEY (study_id) REFERENCES public.bbnas_studies(id);
ALTER TABLE ONLY public.bbnas_runs
    ADD CONSTRAINT bbnas_runs_study_id_fkey FOREIGN KEY (study_id) REFERENCES public.bbnas_studies(id);
