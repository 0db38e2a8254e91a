BEGIN TRANSACTION;
CREATE TABLE bbnas_attempts (
	id INTEGER NOT NULL, 
	study_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	run_id INTEGER NOT NULL, 
	worker INTEGER, 
	started DATETIME NOT NULL, 
	finished DATETIME, 
	outcome VARCHAR(16) NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(study_id) REFERENCES bbnas_studies (id), 
	FOREIGN KEY(run_id) REFERENCES bbnas_runs (id)
);
INSERT INTO "bbnas_attempts" VALUES(1,1,0,1,0,'2026-11-27 21:10:43.703037','2026-11-27 21:10:43.707197','ok');
INSERT INTO "bbnas_attempts" VALUES(2,1,1,1,0,'2026-11-27 21:10:43.822696','2026-11-27 21:10:43.830603','ok');
INSERT INTO "bbnas_attempts" VALUES(3,1,2,1,0,'2026-11-27 21:10:43.839310','2026-11-27 21:10:43.843210','ok');
CREATE TABLE bbnas_budgets (
	run_id INTEGER NOT NULL, 
	designs INTEGER NOT NULL, 
	PRIMARY KEY (run_id), 
	FOREIGN KEY(run_id) REFERENCES bbnas_runs (id)
);
INSERT INTO "bbnas_budgets" VALUES(1,3);
CREATE TABLE bbnas_candidates (
	id INTEGER NOT NULL, 
	study_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	design_key VARCHAR(16) NOT NULL, 
	design JSON NOT NULL, 
	baseline VARCHAR(100) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	run_id INTEGER, 
	deaths INTEGER NOT NULL, 
	evaluation_id INTEGER, 
	reused BOOLEAN NOT NULL, 
	notes JSON NOT NULL, 
	finished DATETIME, 
	PRIMARY KEY (id), 
	UNIQUE (study_id, design_key), 
	UNIQUE (study_id, number), 
	FOREIGN KEY(study_id) REFERENCES bbnas_studies (id), 
	FOREIGN KEY(run_id) REFERENCES bbnas_runs (id), 
	FOREIGN KEY(evaluation_id) REFERENCES bbnas_evaluations (id)
);
INSERT INTO "bbnas_candidates" VALUES(1,1,0,'8df840a9c51ecb15','{"binarize": ["body", "upsampling"], "method": "bbcu", "norm": "none", "k_ratio": null, "activation": "relu", "activation_position": "residual_branch", "convs_per_residual": 1, "weight_scale": true, "estimator": "quadratic", "width": 16, "depth": 32}','','done',1,0,1,0,'{}','2026-11-27 21:10:43.706506');
INSERT INTO "bbnas_candidates" VALUES(2,1,1,'3c38f6a150c58d05','{"binarize": ["body", "upsampling"], "method": "bbcu", "norm": "none", "k_ratio": 0.25, "activation": "rprelu", "activation_position": "residual_branch", "convs_per_residual": 1, "weight_scale": true, "estimator": "quadratic", "width": 16, "depth": 32}','','done',1,0,2,0,'{}','2026-11-27 21:10:43.830342');
INSERT INTO "bbnas_candidates" VALUES(3,1,2,'a21649a6821a335c','{"binarize": ["body", "upsampling", "tail"], "method": "bbcu", "norm": "none", "k_ratio": 0.25, "activation": "relu", "activation_position": "residual_branch", "convs_per_residual": 1, "weight_scale": true, "estimator": "quadratic", "width": 16, "depth": 32}','','done',1,0,3,0,'{}','2026-11-27 21:10:43.842997');
CREATE TABLE bbnas_evaluations (
	id INTEGER NOT NULL, 
	design_key VARCHAR(16) NOT NULL, 
	task VARCHAR(32) NOT NULL, 
	protocol_key VARCHAR(12) NOT NULL, 
	data VARCHAR(128) NOT NULL, 
	design JSON NOT NULL, 
	protocol JSON NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	psnr DOUBLE, 
	ssim DOUBLE, 
	ops DOUBLE NOT NULL, 
	params DOUBLE NOT NULL, 
	seconds DOUBLE NOT NULL, 
	curve JSON NOT NULL, 
	rungs JSON DEFAULT '[]' NOT NULL, 
	environment JSON NOT NULL, 
	error TEXT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (design_key, task, protocol_key, data)
);
INSERT INTO "bbnas_evaluations" VALUES(1,'8df840a9c51ecb15','sr4','6eb6b3eac470','ffffffffffffffff','{"binarize": ["body", "upsampling"], "method": "bbcu", "norm": "none", "k_ratio": null, "activation": "relu", "activation_position": "residual_branch", "convs_per_residual": 1, "weight_scale": true, "estimator": "quadratic", "width": 16, "depth": 32}','{"name": "proxy", "width_scale": 0.25, "depth_scale": 1.0, "iterations": 1000, "batch": 4, "patch": 24, "augment": "dihedral", "learning_rate": 0.001, "betas": [0.9, 0.99], "shift_rate": 0.1, "latent_rate": 1.0, "ema": 0.0, "progressive": 0.0, "distill": 0.0, "distill_features": 0.0, "schedule": "onecycle", "precision": "fp32", "halve_every": 200000, "validate_every": 0, "validation_side": 192, "rungs": [125, 500], "noise": 0.03, "seed": 1}','ok',2.47333333333333342811e+01,6.18333333333333401427e-01,77875200.0,1352.0,0.0,'[[50, 0.1], [100, 0.05]]','[]','{"python": "3.11"}','');
INSERT INTO "bbnas_evaluations" VALUES(2,'3c38f6a150c58d05','sr4','6eb6b3eac470','ffffffffffffffff','{"binarize": ["body", "upsampling"], "method": "bbcu", "norm": "none", "k_ratio": 0.25, "activation": "rprelu", "activation_position": "residual_branch", "convs_per_residual": 1, "weight_scale": true, "estimator": "quadratic", "width": 16, "depth": 32}','{"name": "proxy", "width_scale": 0.25, "depth_scale": 1.0, "iterations": 1000, "batch": 4, "patch": 24, "augment": "dihedral", "learning_rate": 0.001, "betas": [0.9, 0.99], "shift_rate": 0.1, "latent_rate": 1.0, "ema": 0.0, "progressive": 0.0, "distill": 0.0, "distill_features": 0.0, "schedule": "onecycle", "precision": "fp32", "halve_every": 200000, "validate_every": 0, "validation_side": 192, "rungs": [125, 500], "noise": 0.03, "seed": 1}','ok',2.49333333333333335697e+01,6.23333333333333294845e-01,77875200.0,1352.0,0.0,'[[50, 0.1], [100, 0.05]]','[]','{"python": "3.11"}','');
INSERT INTO "bbnas_evaluations" VALUES(3,'a21649a6821a335c','sr4','6eb6b3eac470','ffffffffffffffff','{"binarize": ["body", "upsampling", "tail"], "method": "bbcu", "norm": "none", "k_ratio": 0.25, "activation": "relu", "activation_position": "residual_branch", "convs_per_residual": 1, "weight_scale": true, "estimator": "quadratic", "width": 16, "depth": 32}','{"name": "proxy", "width_scale": 0.25, "depth_scale": 1.0, "iterations": 1000, "batch": 4, "patch": 24, "augment": "dihedral", "learning_rate": 0.001, "betas": [0.9, 0.99], "shift_rate": 0.1, "latent_rate": 1.0, "ema": 0.0, "progressive": 0.0, "distill": 0.0, "distill_features": 0.0, "schedule": "onecycle", "precision": "fp32", "halve_every": 200000, "validate_every": 0, "validation_side": 192, "rungs": [125, 500], "noise": 0.03, "seed": 1}','ok',2.47333333333333307271e+01,6.18333333333333290404e-01,77875200.0,1352.0,0.0,'[[50, 0.1], [100, 0.05]]','[]','{"python": "3.11"}','');
CREATE TABLE bbnas_fidelities (
	id INTEGER NOT NULL, 
	task VARCHAR(32) NOT NULL, 
	space VARCHAR(200) NOT NULL, 
	protocol_key VARCHAR(12) NOT NULL, 
	data VARCHAR(128) NOT NULL, 
	protocol JSON NOT NULL, 
	long JSON NOT NULL, 
	result JSON NOT NULL, 
	environment JSON NOT NULL, 
	measured DATETIME NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE bbnas_latencies (
	id INTEGER NOT NULL, 
	design_key VARCHAR(16) NOT NULL, 
	task VARCHAR(32) NOT NULL, 
	setting_key VARCHAR(16) NOT NULL, 
	shape VARCHAR(16) NOT NULL, 
	setting JSON NOT NULL, 
	seconds DOUBLE NOT NULL, 
	ratio DOUBLE NOT NULL, 
	reference DOUBLE NOT NULL, 
	spread DOUBLE NOT NULL, 
	runs INTEGER NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (design_key, task, setting_key)
);
CREATE TABLE bbnas_references (
	study_id INTEGER NOT NULL, 
	evaluation_id INTEGER NOT NULL, 
	PRIMARY KEY (study_id, evaluation_id), 
	FOREIGN KEY(study_id) REFERENCES bbnas_studies (id), 
	FOREIGN KEY(evaluation_id) REFERENCES bbnas_evaluations (id)
);
CREATE TABLE bbnas_runs (
	id INTEGER NOT NULL, 
	study_id INTEGER NOT NULL, 
	host VARCHAR(255) NOT NULL, 
	pid INTEGER NOT NULL, 
	started DATETIME NOT NULL, 
	seen DATETIME NOT NULL, 
	finished DATETIME, 
	duplicates INTEGER NOT NULL, 
	rejected INTEGER NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(study_id) REFERENCES bbnas_studies (id)
);
INSERT INTO "bbnas_runs" VALUES(1,1,'vm',8669,'2026-11-27 21:10:43.672893','2026-11-27 21:10:43.872717','2026-11-27 21:10:43.872650',0,0);
CREATE TABLE bbnas_studies (
	id INTEGER NOT NULL, 
	name VARCHAR(200) NOT NULL, 
	config JSON NOT NULL, 
	created DATETIME NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (name)
);
INSERT INTO "bbnas_studies" VALUES(1,'quick','{"name": "quick", "space": {"version": 1, "name": "small", "description": "", "axes": {"binarize": [[], ["body"], ["upsampling"], ["tail"], ["body", "upsampling"], ["body", "tail"], ["upsampling", "tail"], ["body", "upsampling", "tail"]], "method": [], "norm": ["none", "batchnorm"], "k_ratio": [null, 0.25, 1.0, 4.0], "activation": ["rprelu", "relu"], "activation_position": ["residual_branch"], "convs_per_residual": [1], "weight_scale": [true], "estimator": ["quadratic"], "width": [16, 32, 64], "depth": [16, 32]}}, "task": "sr4", "protocol": {"name": "proxy", "width_scale": 0.25, "depth_scale": 1.0, "iterations": 1000, "batch": 4, "patch": 24, "augment": "dihedral", "learning_rate": 0.001, "betas": [0.9, 0.99], "shift_rate": 0.1, "latent_rate": 1.0, "ema": 0.0, "progressive": 0.0, "distill": 0.0, "distill_features": 0.0, "schedule": "onecycle", "precision": "fp32", "halve_every": 200000, "validate_every": 0, "validation_side": 192, "rungs": [125, 500], "noise": 0.03, "seed": 1}, "data": "ffffffffffffffff", "data_description": "3 photographs", "objectives": ["psnr", "ops", "params"], "sampler": "ehvi", "sampler_options": {"n_startup_trials": 20, "refine": true}, "guide": "none", "early_stopping": false, "seed": 1, "max_ops": null, "max_params": null, "max_latency": null, "skip_psnr": null, "bicubic_psnr": null, "latency": null}','2026-11-27 21:10:43.663080');
CREATE TABLE bbnas_version (
	version INTEGER NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "bbnas_version" VALUES(4);
CREATE INDEX ix_bbnas_runs_study_id ON bbnas_runs (study_id);
CREATE INDEX ix_bbnas_attempts_study_id ON bbnas_attempts (study_id);
COMMIT;
